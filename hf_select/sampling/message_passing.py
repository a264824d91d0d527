"""MessagePassingSampler: D2's choice on the graph of nearest neighbours: high scores, away from those chosen."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hf_select.errors import UsageError
from hf_select.sampling.columns import ScoredRows
from hf_select.sampling.features import unit
from hf_select.sampling.members import Members
from hf_select.sampling.prototypes import DIGITS, unit_vectors
from hf_select.sampling.sampler import Plan, Sampler
from hf_select.sampling.uniform import grouped_plan

_SPARE = 8
"""Neighbours searched beyond k in float32, so that their float64 distances decide which k are nearest."""

_BLOCK = 256

_GAIN_DIGITS = 12
"""Gains that agree to this many digits of the largest are equal: two rows of one vector, each the other's neighbour,
have the same sum in another order."""


@dataclass(frozen=True, kw_only=True)
class MessagePassingSampler(Sampler):
    """Rows of high scores in places that are not covered yet (D2 pruning, arXiv 2310.07931).

    With s_i the score, at least `floor`, and d_ij the distance of unit vectors to the k nearest other rows kNN(i):

        g_i = s_i + sum of exp(-gamma_forward d_ij) s_j over j in kNN(i)
        again and again: choose i = argmax g, then g_j <- g_j - exp(-gamma_reverse d_ij) g_i for j in kNN(i)

    The argmax is the true one at every step, ties by row key. Rows given by `include` are chosen first (the largest g
    first) and send their messages too; of those, rows without a score are not in the graph. Selection.score is g at the
    moment of the choice.

    Attributes:
        score: A numeric column, or a scorer's prefix and a kind of `derived`; high is chosen.
        features: Column of vectors, as `HiddenEmbedding` adds; need not have unit length.
        neighbours: k, or all other rows where there are fewer.
        gamma_forward: How fast neighbours' scores fade with distance.
        gamma_reverse: How fast a chosen row's discount fades with distance.
        floor: Scores below it count as this.

    Cost: 2 x rows^2 x d floating-point operations (faiss, flat, exact), then O(rows k log rows).
    """

    reason: ClassVar[str] = "graph"
    score: str = "margin"
    features: str = "last_hidden"
    neighbours: int = 5
    gamma_forward: float = 1.0
    gamma_reverse: float = 0.4
    floor: float = 1e-7

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.neighbours < 1:
            raise UsageError(f"neighbours is {self.neighbours}; at least 1 is needed")
        for name, value in (("gamma_forward", self.gamma_forward), ("gamma_reverse", self.gamma_reverse)):
            if not (math.isfinite(value) and value >= 0):
                raise UsageError(f"{name} is {value}; a finite number of at least 0 is needed")
        if not (math.isfinite(self.floor) and self.floor >= 0):
            raise UsageError(f"floor is {self.floor}; a finite number of at least 0 is needed")

    @property
    def _score(self) -> str:
        return self.score

    def _columns(self) -> list[str]:
        return [self.features]

    def _plan(self, rows: ScoredRows, scores: np.ndarray | None, free: np.ndarray, seed: int, left: int | None) -> Plan:
        members = Members.read(rows, self.features, free)
        known = np.flatnonzero(np.isfinite(scores[members.at]))
        at, drawable = members.at[known], members.free[known]
        found, distance = nearest_neighbours(members.points[known], self.neighbours)
        score = np.maximum(scores[at], self.floor)
        gain = score + (np.exp(-self.gamma_forward * distance) * score[found]).sum(axis=1)
        discount = np.exp(-self.gamma_reverse * distance)
        order, gains = message_order(gain, found, discount, ~drawable)
        values = np.full(len(rows), np.nan)
        values[at[order]] = gains
        plan = grouped_plan(rows, at[order[drawable[order]]], None)
        return Plan(plan.order, plan.codes, plan.names, plan.factors, plan.notes, members.rejected, values)


def nearest_neighbours(points: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest other rows of each row by the L2 distance of unit vectors.

    Args:
        points: float32 of shape (rows, d), finite, none all zero.
        k: How many; fewer where there are fewer other rows.

    Returns:
        int64 and float64 of shape (rows, k): their positions, nearest first, equal distances by position; and their
        distances in [0, 2], to `DIGITS` digits.
    """
    n = len(points)
    k = min(k, n - 1)
    if k < 1:
        return np.empty((n, 0), dtype=np.int64), np.empty((n, 0))
    import faiss

    narrow = unit(points)
    index = faiss.IndexFlatIP(narrow.shape[1])
    index.add(narrow)
    near = np.sort(index.search(narrow, min(n, k + 1 + _SPARE))[1], axis=1)
    found = np.empty((n, k), dtype=np.int64)
    distance = np.empty((n, k))
    for start in range(0, n, _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, n))
        steps = unit_vectors(points[near[rows]]) - unit_vectors(points[rows])[:, None]
        away = np.round(np.sqrt(np.einsum("nkd,nkd->nk", steps, steps)), DIGITS)
        away[near[rows] == rows[:, None]] = np.inf
        first = np.argsort(away, axis=1, kind="stable")[:, :k]
        found[rows] = np.take_along_axis(near[rows], first, axis=1)
        distance[rows] = np.take_along_axis(away, first, axis=1)
    return found, distance


def message_order(
    gain: np.ndarray, found: np.ndarray, discount: np.ndarray, first: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Choose all rows one by one by the largest gain, each lowering (or, below 0, raising) its neighbours' gains.

    Args:
        gain: float64 of shape (rows,).
        found: int64 of shape (rows, k), each row's neighbours.
        discount: float64 of shape (rows, k), the share of a row's gain that they lose.
        first: bool of shape (rows,): rows that are chosen before all others.

    Returns:
        int64 and float64 of shape (rows,): rows in the order of choice and their gains at that moment.
    """
    scale = float(np.abs(gain).max(initial=0)) or 1.0
    gains = (gain / scale).tolist()
    neighbours, discounts = found.tolist(), discount.tolist()
    # Gains change after they were pushed: an entry counts only while it holds its row's gain of now.
    waiting = [
        [(-round(gains[at], _GAIN_DIGITS), at) for at in np.flatnonzero(some).tolist()] for some in (first, ~first)
    ]
    for heap in waiting:
        heapq.heapify(heap)
    early = first.tolist()
    chosen = [False] * len(gains)
    order: list[int] = []
    for heap in waiting:
        while heap:
            value, at = heapq.heappop(heap)
            if chosen[at] or -value != round(gains[at], _GAIN_DIGITS):
                continue
            chosen[at] = True
            order.append(at)
            for other, share in zip(neighbours[at], discounts[at], strict=True):
                if not chosen[other]:
                    gains[other] -= share * gains[at]
                    heapq.heappush(waiting[0 if early[other] else 1], (-round(gains[other], _GAIN_DIGITS), other))
    placed = np.array(order, dtype=np.int64)
    return placed, np.array(gains, dtype=np.float64)[placed] * scale
