"""Time two-context scoring by `AnswerLoss` beside the plain way: one full forward with all logits a row and context.

    python benchmarks/bench_answer_loss.py [--rows 6] [--runs 3]

A LLaVA-shaped model with random weights (73M parameters, 576 image tokens), fp32, one thread, CPU seconds of this
process, median of the runs; both ways in each run, pictures processed in both. Losses must agree.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

CONTEXTS = ("full", "no_question")
WORDS = ("what", "colour", "is", "the", "square", "left", "of", "circle", "and", "how", "many", "are", "in", "this")


def build_model(folder: Path) -> tuple:
    """Return the toy model and its processor."""
    import tiny
    import torch
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

    from hf_select.scoring.model import load_processor

    processor = load_processor(str(tiny.llava(folder)))
    processor.image_processor.size = {"height": 336, "width": 336}
    processor.image_processor.crop_size = {"height": 336, "width": 336}
    processor.patch_size = 14
    torch.manual_seed(0)
    vision = CLIPVisionConfig(
        hidden_size=384,
        intermediate_size=1536,
        num_hidden_layers=8,
        num_attention_heads=6,
        image_size=336,
        patch_size=14,
    )
    text = LlamaConfig(
        vocab_size=32_000,
        hidden_size=512,
        intermediate_size=2048,
        num_hidden_layers=8,
        num_attention_heads=8,
        max_position_embeddings=2048,
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_id=processor.tokenizer.convert_tokens_to_ids("<image>"),
        image_seq_length=576,
    )
    return LlavaForConditionalGeneration(config).eval(), processor


def build_rows(count: int) -> list:
    """Return rows with one noise picture, about 64 question and 62 answer tokens each."""
    import numpy as np
    from PIL import Image

    from hf_select.pool.images import RowImage
    from hf_select.pool.row import IMAGE, Message, Part, Row

    rng, rows = random.Random(0), []
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 256, (336, 336, 3), dtype=np.uint8)
        question, answer = (" ".join(rng.choices(WORDS, k=length)) for length in (20, 20))
        messages = (Message("user", (IMAGE, Part(question))), Message("assistant", (Part(answer),)))
        rows.append(Row(messages=messages, images=(RowImage.of(Image.fromarray(pixels)),)))
    return rows


def plain_way(model: object, processor: object, rows: list) -> list[float]:
    """Score row by row and context by context with the model's own label loss over full logits."""
    import torch

    from hf_select.scoring.encode import ChatEncoder

    losses = []
    for context in CONTEXTS:
        for row in rows:
            encoder = ChatEncoder(processor)
            inputs = encoder.collate([encoder.encode(row, context)])
            with torch.inference_mode():
                count = int((inputs["labels"][:, 1:] != -100).sum())
                losses.append(float(model(**inputs).loss) * count)
    return losses


def our_way(model: object, processor: object, rows: list) -> list[float]:
    """Score with the engine."""
    from hf_select.scoring.encode import ChatEncoder
    from hf_select.scoring.engine import AnswerEngine

    results = AnswerEngine(model, ChatEncoder(processor), CONTEXTS).score(rows)
    return [result.facts[context][0] for context in CONTEXTS for result in results]


def main() -> None:
    """Run both ways in turn and print the medians and their ratio."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=6)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        model, processor = build_model(Path(folder))
        rows, seconds, losses = build_rows(options.rows), {plain_way: [], our_way: []}, {}
        for _ in range(options.runs):
            for way in seconds:
                started = time.process_time()
                losses[way] = way(model, processor, rows)
                seconds[way].append(time.process_time() - started)
    plain, ours = (statistics.median(seconds[way]) for way in (plain_way, our_way))
    ratios = [a / b for a, b in zip(seconds[plain_way], seconds[our_way], strict=True)]
    result = {
        "rows": options.rows,
        "contexts": CONTEXTS,
        "plain_cpu_s": round(plain, 2),
        "answer_loss_cpu_s": round(ours, 2),
        "ratio_median": round(statistics.median(ratios), 2),
        "ratio_min_max": [round(min(ratios), 2), round(max(ratios), 2)],
        "largest_loss_difference": max(abs(a - b) for a, b in zip(losses[plain_way], losses[our_way], strict=True)),
        "machine": f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}, 1 thread",
        "torch": torch.__version__,
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
