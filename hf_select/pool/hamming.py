"""Which perceptual hashes of two lists differ in few bits, without comparing all with all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from hf_select.errors import UsageError
from hf_select.pool.perceptual import BITS

MOST = 33
"""Largest distance that `near_pairs` finds without a miss."""

_BANDS = 17
_WIDTH = BITS // _BANDS
_CANDIDATES = 1_000_000


def near_pairs(here: Sequence[str], there: Sequence[str], most: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find every pair of hashes that differ in at most `most` bits; exact.

    The 255 bits are 17 bands of 15. Where two hashes differ in at most 33 bits, some band differs in at most one
    (pigeonhole), so each band is looked up as it is and with every single bit turned, in `there` sorted by that band;
    what is found is verified on all bits (multi-index hashing, Norouzi et al., arXiv 1307.2982).

    Args:
        here: Perceptual hashes, 64 hex digits each.
        there: The same; the smaller list of the two, best.
        most: Hamming distance, 0 to 33.

    Returns:
        int64 arrays (positions in `here`, positions in `there`, distances), sorted by the positions.

    Raises:
        UsageError: `most` is out of range.

    Cost: n x 17 x 16 look-ups, each finding about m / 32768 candidates where bits are even. Memory: 32 bytes a
    hash, 64 MB for candidates.
    """
    if not 0 <= most <= MOST:
        raise UsageError(f"a distance of {most} bits can't be looked up: give 0 to {MOST}.")
    a, b = _packed(here), _packed(there)
    found = [np.empty((3, 0), dtype=np.int64)]
    for of_a, of_b in zip(_bands(a), _bands(b), strict=True):
        order = np.argsort(of_b, kind="stable")
        starts = np.concatenate([[0], np.cumsum(np.bincount(of_b, minlength=1 << _WIDTH))])
        for turned in (0, *(1 << bit for bit in range(_WIDTH))):
            for left, right in _candidates(of_a ^ turned, starts, order):
                distance = _distance(a[left], b[right])
                close = distance <= most
                found.append(np.stack([left[close], right[close], distance[close]]))
    return tuple(np.unique(np.concatenate(found, axis=1), axis=1))


def _candidates(values: np.ndarray, starts: np.ndarray, order: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    first, count = starts[values], starts[values + 1] - starts[values]
    hit = np.flatnonzero(count)
    done = np.cumsum(count[hit])
    cuts = np.searchsorted(done, np.arange(_CANDIDATES, done[-1] if len(done) else 0, _CANDIDATES))
    for part in np.split(hit, np.unique(cuts)):
        sizes = count[part]
        left = np.repeat(part, sizes)
        within = np.arange(len(left)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        yield left, order[np.repeat(first[part], sizes) + within]


def _packed(hashes: Sequence[str]) -> np.ndarray:
    return np.frombuffer(bytes.fromhex("".join(hashes)), dtype=np.uint8).reshape(len(hashes), (BITS + 1) // 8)


def _bands(packed: np.ndarray) -> np.ndarray:
    """Split hashes of shape (n, 32) into int64 band values of shape (17, n)."""
    if not len(packed):
        return np.empty((_BANDS, 0), dtype=np.int64)
    bits = np.unpackbits(packed, axis=1)[:, 1:].reshape(len(packed), _BANDS, _WIDTH)
    return (bits @ (1 << np.arange(_WIDTH, dtype=np.int64))).T


def _distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return _ONES[np.bitwise_xor(a, b)].sum(axis=1, dtype=np.int64)


_ONES = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1, dtype=np.uint8)
