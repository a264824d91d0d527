"""Vectors of rows: what may go wrong with one, their unit length, and a bounded memory of those that are known."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

_MEMO_BYTES = 64 * 1024 * 1024


class Refused(NamedTuple):
    """Why there is no vector: a status and one sentence."""

    status: str
    reason: str


def finished(vector: np.ndarray, normalize: bool, what: str) -> np.ndarray | Refused:
    """Return a vector as it is stored, or why it can't be: not finite, or all zeros where unit length is asked for.

    Args:
        vector: (d,) float32.
        normalize: Whether to divide by the L2 norm (taken in float64).
        what: What the vector is of, for the reason: "image 'a.jpg'".
    """
    if not np.isfinite(vector).all():
        return Refused("non_finite", f"the vector of {what} isn't finite: the model overflows on it")
    if not normalize:
        return vector
    norm = float(np.linalg.norm(vector.astype(np.float64)))
    if norm == 0.0:
        return Refused("zero_vector", f"the vector of {what} is all zeros and can't be given unit length")
    return (vector / norm).astype(np.float32)


class VectorMemo:
    """The vectors asked for last, at most 64 MB of them, so that rows which share an image or a text share the work.

    Args:
        dim: Length of a vector.
    """

    def __init__(self, dim: int) -> None:
        self._most = max(1, _MEMO_BYTES // (4 * dim))
        self._held: OrderedDict[str, np.ndarray] = OrderedDict()

    def known(self, keys: Iterable[str]) -> dict[str, np.ndarray]:
        """Return those of the wanted vectors that are held, and keep them longest."""
        found = {key: self._held[key] for key in keys if key in self._held}
        for key in found:
            self._held.move_to_end(key)
        return found

    def keep(self, key: str, vector: np.ndarray) -> None:
        """Hold one more vector; the one that nobody asked for longest goes."""
        self._held[key] = vector
        if len(self._held) > self._most:
            self._held.popitem(last=False)
