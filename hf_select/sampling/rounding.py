"""Rounding rules: fractional quotas to whole numbers. Arrays are per group, in the order of the group names."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

_DIGITS = 9
"""Fractional parts that agree to this many digits are equal."""


def ideal(weights: np.ndarray, total: int) -> np.ndarray:
    """Fractional quotas `total * w / sum(w)`, float64, with floating-point dust removed."""
    quota = weights / weights.sum() * total
    whole = np.rint(quota)
    dust = np.maximum(10.0**-_DIGITS, 8 * np.spacing(quota))
    return np.where(np.abs(quota - whole) <= dust, whole, quota)


def largest_remainder(quota: np.ndarray, sizes: np.ndarray, total: int) -> np.ndarray:
    """Floor, then +1 by descending fractional part to groups that still have rows; ties by group order."""
    given = np.floor(quota).astype(np.int64)
    return _add_by_fraction(given, quota, sizes, total)


def floor_to_argmax(quota: np.ndarray, sizes: np.ndarray, total: int) -> np.ndarray:
    """Floor, and the whole remainder to the group of the largest quota (PreSel's LLaVA script)."""
    given = np.floor(quota).astype(np.int64)
    given[np.argmax(quota)] += total - given.sum()
    return given


def floor_min1(quota: np.ndarray, sizes: np.ndarray, total: int) -> np.ndarray:
    """Floor but at least 1 (VisNec), made exact: the most over-served groups give back, the most under-served get."""
    given = np.maximum(np.floor(quota).astype(np.int64), np.minimum(sizes, 1))
    while (excess := int(given.sum()) - total) > 0:
        spare = np.flatnonzero(given > 1) if (given > 1).any() else np.flatnonzero(given > 0)
        over = np.round(given - quota, _DIGITS)[spare]
        given[spare[np.lexsort((-spare, -over))][:excess]] -= 1
    return _add_by_fraction(given, quota, sizes, total)


def half_even(quota: np.ndarray, sizes: np.ndarray, total: int, order_by: np.ndarray | None = None) -> np.ndarray:
    """Round half to even, then +1 by descending size or -1 by ascending size (PreSel's rule inside a task).

    `order_by` are the sizes that decide that order, where they aren't `sizes`: PreSel's count reference rows too.
    """
    given = np.minimum(np.rint(quota).astype(np.int64), sizes)
    order_by = sizes if order_by is None else order_by
    while (gap := total - int(given.sum())) != 0:
        order = np.argsort(-order_by if gap > 0 else order_by, kind="stable")
        movable = order[given[order] < sizes[order]] if gap > 0 else order[given[order] > 0]
        if movable.size == 0:
            break
        given[movable[: abs(gap)]] += np.sign(gap)
    return given


def _add_by_fraction(given: np.ndarray, quota: np.ndarray, sizes: np.ndarray, total: int) -> np.ndarray:
    left = total - int(given.sum())
    if left > 0:
        order = np.argsort(-np.round(quota - given, _DIGITS), kind="stable")
        order = order[given[order] < sizes[order]][:left]
        given[order] += 1
    return given


RULES: dict[str, Callable[[np.ndarray, np.ndarray, int], np.ndarray]] = {
    "largest_remainder": largest_remainder,
    "floor_to_argmax": floor_to_argmax,
    "floor_min1": floor_min1,
    "half_even": half_even,
}
