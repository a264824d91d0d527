"""NeighbourCentrality: how close a row lies to its nearest neighbours inside its group."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hf_select.errors import UsageError
from hf_select.sampling.features import has_vector, unit

BLOCK_BYTES = 64_000_000
"""Most bytes of similarities that are held at once."""

INDEX_FROM = 4_000
"""Rows of a group from which faiss's flat index is the faster way (`benchmarks/bench_centrality.py`)."""

_COPY = 0.999
"""Similarity above which a row may be an exact copy: far more than rounding takes from 1."""


@dataclass(frozen=True, kw_only=True)
class NeighbourCentrality:
    """Mean cosine similarity to the k nearest neighbours of the same group (PreSel, arXiv 2503.07591, "NC").

    NC(i) = 1/k' x sum of the k' largest cos(x_i, x_j) over j != i in the group, k' = min(k, rows of the group - 1). The
    row itself is left out by its index, so an exact copy counts as a neighbour of similarity 1. Exact copies in a group
    have equal scores, to the last digit.

    Attributes:
        k: How many neighbours.

    Cost: 2 x d floating-point operations a pair inside a group, exact: in blocks of `BLOCK_BYTES`, or by faiss's flat
    index in groups of `INDEX_FROM` rows and more, whichever is faster.
    """

    k: int = 5

    def __post_init__(self) -> None:
        if self.k < 1:
            raise UsageError(f"k is {self.k}; at least 1 neighbour is needed")

    def score(self, features: np.ndarray, groups: np.ndarray, available: np.ndarray | None = None) -> np.ndarray:
        """Score rows.

        Args:
            features: Float of shape (rows, d), NaN where a row has no vector; need not have unit length.
            groups: Whole numbers of shape (rows,); rows of a negative group are not scored.
            available: bool of shape (rows,): rows that are scored and count as neighbours; None for all.

        Returns:
            float64 of shape (rows,). NaN where a row isn't scored, has no vector, or is alone in its group.

        Raises:
            UsageError: Shapes that differ.
        """
        mask = np.ones(len(features), dtype=bool) if available is None else np.asarray(available, dtype=bool)
        if not len(features) == len(groups) == len(mask):
            raise UsageError(f"{len(features)} vectors, {len(groups)} groups: one of each is needed for every row")
        usable = mask & (groups >= 0) & has_vector(features)
        rows = np.flatnonzero(usable)
        rows = rows[np.argsort(groups[rows], kind="stable")]
        result = np.full(len(features), np.nan)
        starts = np.flatnonzero(np.diff(groups[rows], prepend=-1))
        for members in np.split(rows, starts[1:]):
            if members.size > 1:
                result[members] = self._of_group(unit(features[members]))
        return result

    def _of_group(self, vectors: np.ndarray) -> np.ndarray:
        k = min(self.k, len(vectors) - 1)
        nearest = _by_index(vectors, k) if len(vectors) >= INDEX_FROM else _by_product(vectors, k)
        # Summed in order of size, so that no permutation of the rows moves the last digit.
        mean = np.sort(nearest, axis=1).mean(axis=1, dtype=np.float64)
        # A row whose nearest neighbour isn't at similarity 1 has no copy.
        twins = np.flatnonzero(nearest.max(axis=1) > _COPY)
        mean[twins] = mean[twins][_first_copies(vectors[twins])]
        return mean


def _by_product(vectors: np.ndarray, k: int) -> np.ndarray:
    """The k largest similarities of each row to others, float32 (n, k), by blocks of the matrix of all pairs."""
    n = len(vectors)
    block = max(1, BLOCK_BYTES // (4 * n))
    nearest = np.empty((n, k), dtype=np.float32)
    for start in range(0, n, block):
        similar = vectors[start : start + block] @ vectors.T
        size = len(similar)
        similar[np.arange(size), np.arange(start, start + size)] = -np.inf
        nearest[start : start + size] = np.partition(similar, n - k, axis=1)[:, n - k :]
    return nearest


def _by_index(vectors: np.ndarray, k: int) -> np.ndarray:
    """The same by faiss's exact inner-product index."""
    import faiss

    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    similar, found = index.search(vectors, k + 1)
    # Where copies took the row's own place among the first, the last of the list is one too many.
    order = np.argsort(found == np.arange(len(vectors))[:, None], axis=1, kind="stable")[:, :k]
    return np.take_along_axis(similar, order, axis=1)


def _first_copies(vectors: np.ndarray) -> np.ndarray:
    """For every row, the first row with the same bytes: a product's last digit depends on where in a block a row is."""
    whole = np.ascontiguousarray(vectors).view(np.dtype((np.void, vectors.itemsize * vectors.shape[1]))).ravel()
    _, first, of = np.unique(whole, return_index=True, return_inverse=True)
    return first[of]
