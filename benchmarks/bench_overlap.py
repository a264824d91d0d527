"""How often `near` finds a changed copy of a picture, and how often it takes two different pictures for one.

Run: python benchmarks/bench_overlap.py [FOLDER] [--most 600]. FOLDER holds pictures, the demo's drawn ones without it;
they are taken in the order of their names' digests, so that every kind of them is among the first.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

from hf_select.demo.pool import draw_pool
from hf_select.pool.hamming import near_pairs
from hf_select.pool.images import ImageProblem, RowImage
from hf_select.pool.perceptual import NEAR, SAME_COLOURS, PictureHash, colour_difference, picture_hash


def jpeg(image: Image.Image) -> Image.Image:
    """The picture after a JPEG of quality 50."""
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=50)
    return Image.open(buffer).convert("RGB")


def cropped(image: Image.Image) -> Image.Image:
    """The picture without 2 % of each side."""
    x, y = image.width // 50, image.height // 50
    return image.crop((x, y, image.width - x, image.height - y))


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "half the size": lambda image: image.resize((max(1, image.width // 2), max(1, image.height // 2))),
    "JPEG, quality 50": jpeg,
    "brighter by 20 %": lambda image: ImageEnhance.Brightness(image).enhance(1.2),
    "2 % cut from each side": cropped,
}


def are_near(here: list[PictureHash], there: list[PictureHash]) -> set[tuple[int, int]]:
    """Pairs of positions that the rule takes for the same picture; plain pictures are in none."""
    told = [[at for at, one in enumerate(side) if one.shape is not None] for side in (here, there)]
    left, right, _ = near_pairs([here[at].shape for at in told[0]], [there[at].shape for at in told[1]], NEAR)
    places = np.array(told[0], dtype=int)[left], np.array(told[1], dtype=int)[right]
    sides = [
        np.frombuffer(b"".join(side[at].colours for at in at_side), dtype=np.uint8).reshape(-1, 192)
        for side, at_side in zip((here, there), places, strict=True)
    ]
    same = colour_difference(*sides) <= SAME_COLOURS
    return set(zip(places[0][same].tolist(), places[1][same].tolist(), strict=True))


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--most", type=int, default=600)
    options = parser.parse_args()
    if options.folder is not None:
        measure(options.folder, options.most)
        return
    with tempfile.TemporaryDirectory() as folder:
        draw_pool(Path(folder) / "pool", rows=300, held_out=1)
        measure(Path(folder), options.most)


def measure(folder: Path, most: int) -> None:
    """Print the rates over the first `most` pictures of a folder."""
    files = [file for file in folder.rglob("*") if file.suffix.lower() in (".png", ".jpg", ".jpeg", ".webp")]
    files.sort(key=lambda file: hashlib.blake2b(file.name.encode()).digest())
    pictures, seen = [], set()
    for file in files:
        try:
            found = picture_hash(RowImage.of(str(file)))
        except ImageProblem:
            continue
        if found.pixels not in seen:
            seen.add(found.pixels)
            pictures.append((file, found))
        if len(pictures) == most:
            break
    hashes = [found for _, found in pictures]
    plain = sum(found.shape is None for found in hashes)
    print(f"{len(hashes)} pictures, {plain} of them too plain to be told by shape")
    wrong = {pair for pair in are_near(hashes, hashes) if pair[0] < pair[1]}
    pairs = len(hashes) * (len(hashes) - 1) // 2
    print(f"different pictures taken for one: {len(wrong)} of {pairs:,} pairs")
    for name, change in CHANGES.items():
        changed = [picture_hash(RowImage.of(change(RowImage.of(str(file)).open()))) for file, _ in pictures]
        found = sum((at, at) in near for near in [are_near(hashes, changed)] for at in range(len(hashes)))
        print(f"{name}: {found / max(1, len(hashes) - plain):.1%} of the others found")


if __name__ == "__main__":
    main()
