"""Time `ImageEmbedding` beside the plain way: one picture opened, processed and embedded after the other.

    python benchmarks/bench_embedding.py [--images 64] [--runs 3] [--threads 1] [--copies 1] [--device cpu]

A DINOv2-small (22M parameters, 224 px) with random weights, fp32, 640x480 JPEGs; both ways side by side in each run,
wall time, median. `--copies 2` makes every picture the picture of two rows. Vectors must agree within 1e-5.
"""

from __future__ import annotations

import argparse
import io
import json
import platform
import statistics
import tempfile
import time
from pathlib import Path


def build_model(folder: Path) -> None:
    """Save the encoder and its image processor."""
    import torch
    from transformers import BitImageProcessor, Dinov2Config, Dinov2Model

    torch.manual_seed(0)
    config = Dinov2Config(hidden_size=384, num_hidden_layers=12, num_attention_heads=6, image_size=518, patch_size=14)
    Dinov2Model(config).save_pretrained(folder)
    shape = {"size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224}}
    BitImageProcessor(**shape).save_pretrained(folder)


def build_pictures(folder: Path, count: int) -> list[Path]:
    """Write soft random pictures as JPEG files."""
    import numpy as np
    from PIL import Image

    random = np.random.RandomState(0)
    paths = []
    for at in range(count):
        small = Image.fromarray(random.randint(0, 256, (60, 80, 3), dtype=np.uint8))
        buffer = io.BytesIO()
        small.resize((640, 480), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
        paths.append(folder / f"{at}.jpg")
        paths[-1].write_bytes(buffer.getvalue())
    return paths


def ours(folder: Path, paths: list[Path], device: str) -> tuple[float, list]:
    """Return the seconds and vectors of the scorer; its loading isn't counted."""
    from hf_select.embedding.image import ImageEmbedding
    from hf_select.pool.images import RowImage
    from hf_select.pool.row import IMAGE, Message, Row
    from hf_select.scoring.loaded import forget_loaded

    forget_loaded()
    scorer = ImageEmbedding(model=str(folder), device=device)
    rows = [Row((Message("user", (IMAGE,)),), (RowImage.of(path),)) for path in paths]
    assert scorer.loaded is not None
    start = time.perf_counter()
    vectors = scorer.score(rows)["embedding"]
    return time.perf_counter() - start, vectors


def plain(folder: Path, paths: list[Path], device: str) -> tuple[float, list]:
    """Return the seconds and vectors of a loop over pictures; its loading isn't counted."""
    import torch
    from PIL import Image
    from transformers import AutoImageProcessor, AutoModel

    model = AutoModel.from_pretrained(folder).eval().to(device)
    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    vectors = []
    start = time.perf_counter()
    with torch.inference_mode():
        for path in paths:
            inputs = processor(images=Image.open(path).convert("RGB"), return_tensors="pt").to(device)
            token = model(**inputs).last_hidden_state[0, 0]
            vectors.append((token / token.norm()).cpu().numpy())
    return time.perf_counter() - start, vectors


def main() -> None:
    """Run both ways and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--copies", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    import numpy as np
    import torch
    import transformers

    torch.set_num_threads(args.threads)
    seconds: dict[str, list[float]] = {"ours": [], "plain": []}
    furthest = 0.0
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model"
        build_model(folder)
        paths = build_pictures(Path(scratch), args.images) * args.copies
        for _ in range(args.runs):
            mine, here = ours(folder, paths, args.device)
            loop, there = plain(folder, paths, args.device)
            seconds["ours"].append(mine)
            seconds["plain"].append(loop)
            furthest = max(furthest, float(np.abs(np.array(here) - np.array(there)).max()))
    assert furthest < 1e-5, f"vectors differ by {furthest}"
    rate = {name: len(paths) / statistics.median(took) for name, took in seconds.items()}
    report = {
        "machine": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "device": torch.cuda.get_device_name() if args.device.startswith("cuda") else args.device,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "threads": args.threads,
        "rows": len(paths),
        "distinct_images": args.images,
        "rows_per_second": {name: round(value, 2) for name, value in rate.items()},
        "ratio": round(rate["ours"] / rate["plain"], 2),
        "runs": {name: [round(value, 2) for value in took] for name, took in seconds.items()},
        "largest_difference": furthest,
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
