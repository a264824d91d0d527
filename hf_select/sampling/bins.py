"""Score bins and ranks. Rows come in address order, so a stable sort by score breaks ties by row key."""

from __future__ import annotations

import numpy as np


def equal_count_bins(scores: np.ndarray, bins: int) -> np.ndarray:
    """Cut rows, ranked by (score, row key), into `bins` runs whose sizes differ by at most 1.

    Args:
        scores: float64 of shape (rows,), rows in address order; NaN for none.
        bins: How many; with fewer rows than bins, some bins are empty.

    Returns:
        int64 of shape (rows,): 0 for the lowest scores; -1 where the score is NaN.
    """
    codes = np.full(scores.shape, -1, dtype=np.int64)
    order = ascending(scores)
    codes[order] = np.arange(order.size) * bins // max(order.size, 1)
    return codes


def equal_width_bins(scores: np.ndarray, bins: int) -> np.ndarray:
    """Cut the range of the scores into `bins` equal intervals; equal scores all fall in bin 0. Returns as above."""
    codes = np.full(scores.shape, -1, dtype=np.int64)
    some = np.isfinite(scores)
    if some.any():
        low, high = scores[some].min(), scores[some].max()
        width = high - low
        place = (scores[some] - low) / width * bins if width > 0 else np.zeros(int(some.sum()))
        codes[some] = np.minimum(place.astype(np.int64), bins - 1)
    return codes


def ascending(scores: np.ndarray) -> np.ndarray:
    """Positions of the rows that have a score, lowest first, ties by row key."""
    order = np.argsort(scores, kind="stable")
    return order[: int(np.isfinite(scores).sum())]


def relative_ranks(scores: np.ndarray) -> np.ndarray:
    """Rank of each score in (0, 1): (rank + 1/2) / rows with a score, equal ones sharing their mean; else NaN."""
    ranks = np.full(scores.shape, np.nan)
    order = ascending(scores)
    if order.size:
        _, inverse, counts = np.unique(scores[order], return_inverse=True, return_counts=True)
        end = np.cumsum(counts)
        ranks[order] = ((end - counts + end) / 2)[inverse] / order.size
    return ranks
