"""When two pictures are the same: equal files, equal pixels, or nearly the same shapes and colours."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image

from hf_select.pool.images import RowImage

BITS = 255
"""Bits of a perceptual hash: 16 x 16 frequencies without the constant one."""

NEAR = 32
"""Two pictures are near when at most this many bits differ, and their colours by at most `SAME_COLOURS`.

Measured by `benchmarks/bench_overlap.py` on 600 pictures of eleven kinds (photographs, charts, receipts, puzzles): none
of the 179,700 pairs of different pictures is near; found again are 100 % at half the size, 100 % as a JPEG of quality
50, 94.5 % when 20 % brighter, and 49.1 % when 2 % of each side is cut off. Larger crops are not found, nor grey copies
of coloured pictures. Of the 7.8 million pairs of a whole pool and its held-out pictures 118 are near: frames of one
burst, one chart drawn twice, and, wrongly, receipts of one shop and puzzles of one layout.
"""

SAME_COLOURS = 40
"""Largest `colour_difference` of near pictures, in levels of 0 to 255."""

_SIDE = 64
_LOW = 16
_FAINT = 0.02
_ENOUGH = BITS // 2
_CELLS = 8


@dataclass(frozen=True)
class PictureHash:
    """What a picture is compared by.

    Attributes:
        file: 32 hex digits over the file's bytes (`RowImage.digest`).
        pixels: 32 hex digits over size and RGB values, so that a lossless copy in another format is the same.
        shape: `perceptual_hash`.
        colours: 192 bytes, the picture as 8 x 8 RGB values.
    """

    file: str
    pixels: str
    shape: str | None
    colours: bytes


def picture_hash(image: RowImage) -> PictureHash:
    """Hash one picture; raises `ImageProblem` where it can't be decoded.

    Cost: decoding, and about 3 ms for a picture of a megapixel.
    """
    opened = image.open()
    pixels = hashlib.blake2b(f"{opened.size} ".encode(), digest_size=16)
    pixels.update(opened.tobytes())
    colours = opened.resize((_CELLS, _CELLS), Image.Resampling.LANCZOS, reducing_gap=3.0).tobytes()
    return PictureHash(image.digest, pixels.hexdigest(), perceptual_hash(opened), colours)


def perceptual_hash(image: Image.Image) -> str | None:
    """Return 64 hex digits (255 bits, the first bit unused), or None where a picture is too plain to be told by shape.

    As pHash (Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010), with more bits: 64
    take most receipts, sudokus or charts of one layout for the same picture. The picture becomes 64 x 64 grey values g
    (Lanczos); with the DCT-II basis C[k, x] = cos(pi (2x + 1) k / 128), bit (k, l) is the sign of (C g C')[k, l] for
    k, l < 16, but (0, 0). Blank, evenly coloured and striped pictures have fewer than half of these frequencies above
    the noise of 8-bit values; their signs are chance.

    Args:
        image: As `RowImage.open` gives it: RGB, upright.
    """
    grey = image.convert("L").resize((_SIDE, _SIDE), Image.Resampling.LANCZOS, reducing_gap=3.0)
    basis = _basis()
    waves = (basis @ np.asarray(grey, dtype=np.float64) @ basis.T).ravel()[1:] / _SIDE**2
    if np.count_nonzero(np.abs(waves) > _FAINT) < _ENOUGH:
        return None
    return np.packbits(np.concatenate([[False], waves > 0])).tobytes().hex()


def colour_difference(here: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Return how far the colours of pairs of pictures are apart once brightness and contrast are made equal.

    With the least-squares gain a (held to 0.5 to 2) and offset b of there ~ a here + b over all 192 values of a pair:
    max |there - a here - b|. Shapes that moved or have another colour change a few cells by much.

    Args:
        here: uint8 of shape (n, 192).
        there: The same, pair by pair.

    Returns:
        float64 of shape (n,), levels of 0 to 255.
    """
    x, y = (side - side.mean(axis=1, keepdims=True) for side in (here.astype(np.float64), there.astype(np.float64)))
    spread = np.maximum((x * x).sum(axis=1, keepdims=True), 1.0)
    gain = np.clip((x * y).sum(axis=1, keepdims=True) / spread, 0.5, 2.0)
    return np.abs(y - gain * x).max(axis=1, initial=0.0)


@cache
def _basis() -> np.ndarray:
    place, wave = np.arange(_SIDE), np.arange(_LOW)
    return np.cos(np.pi * (2 * place[None] + 1) * wave[:, None] / (2 * _SIDE))
