"""From quotas to rows: each group gives its first rows in draw order."""

from __future__ import annotations

import numpy as np


def pick_rows(order: np.ndarray, codes: np.ndarray, quota: np.ndarray) -> np.ndarray:
    """The first `quota[g]` rows of every group g.

    Args:
        order: int64, positions in draw order.
        codes: int64 of shape (rows,), the group of every position.
        quota: int64 of shape (groups,), not above the groups' sizes.

    Returns:
        Positions, group by group, inside a group in draw order.
    """
    order, start = _by_group(order, codes, len(quota))
    group = codes[order]
    return order[np.arange(order.size) - start[group] < quota[group]]


def pick_tokens(order: np.ndarray, codes: np.ndarray, cost: np.ndarray, quota: np.ndarray, total: int) -> np.ndarray:
    """Rows whose tokens stay within the quotas, then whole further rows while `total` allows.

    First every group gives the longest run of rows, in draw order, that fits its quota. What the runs leave is spent
    by going round the groups in order, one further row each; a group whose next row doesn't fit any more is done. So
    no row is passed over for being long, except at the very end.

    Args:
        order: int64, positions in draw order.
        codes: int64 of shape (rows,).
        cost: int64 of shape (rows,), tokens; at least 0 where a row may be drawn.
        quota: int64 of shape (groups,), tokens.
        total: Tokens that may be spent, at least the sum of the quotas.

    Returns:
        Positions, group by group, inside a group in draw order; their tokens sum to at most `total`.
    """
    order, start = _by_group(order, codes, len(quota))
    group = codes[order]
    spent = np.cumsum(cost[order])
    before = np.concatenate([[0], spent])[start[group]] if order.size else spent
    taken = np.bincount(group[spent - before <= quota[group]], minlength=len(quota))
    sizes = np.bincount(group, minlength=len(quota))
    left = total - int(cost[order[np.arange(order.size) - start[group] < taken[group]]].sum())
    open_ = [g for g in range(len(quota)) if quota[g] > 0 and taken[g] < sizes[g]]
    while open_:
        still = []
        for g in open_:
            price = int(cost[order[start[g] + taken[g]]])
            if price > left:
                continue
            left -= price
            taken[g] += 1
            if taken[g] < sizes[g]:
                still.append(g)
        open_ = still
    return order[np.arange(order.size) - start[group] < taken[group]]


def _by_group(order: np.ndarray, codes: np.ndarray, groups: int) -> tuple[np.ndarray, np.ndarray]:
    """`order` sorted by group, keeping draw order inside, and where each group starts in it."""
    order = order[np.argsort(codes[order], kind="stable")]
    sizes = np.bincount(codes[order], minlength=groups)
    return order, np.cumsum(sizes) - sizes
