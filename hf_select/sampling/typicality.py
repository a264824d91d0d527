"""TypicalitySampler: TypiClust's choice: cluster by cluster, the row whose neighbours that are left lie closest."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hf_select.errors import UsageError
from hf_select.sampling.columns import ScoredRows
from hf_select.sampling.kmeans import KMeansGroups
from hf_select.sampling.members import Members
from hf_select.sampling.neighbours import BLOCK_BYTES
from hf_select.sampling.prototypes import DIGITS, unit_vectors
from hf_select.sampling.sampler import Plan, Sampler
from hf_select.sampling.uniform import grouped_plan

_DUST = 1e-5


@dataclass(frozen=True, kw_only=True)
class TypicalitySampler(Sampler):
    """The most typical rows of clusters taken in turn (TypiClust, arXiv 2202.02794).

    k-means on unit vectors makes K = min(budget in rows, `max_clusters`) clusters of all rows, those given by `include`
    too. The next row always comes from the cluster of the fewest chosen rows (included ones count), then the largest;
    clusters of at most `small` rows wait until all others are used up. Of the n rows that are left in that cluster, the
    one of the largest typicality is chosen and leaves it, ties by row key:

        typicality = 1 / (mean L2 distance to the min(`neighbours`, n // 2) nearest rows that are left + 1e-5)

    Selection.score is the typicality at the moment of the choice; none for the last row of a cluster.

    Attributes:
        features: Column of vectors, as `ImageEmbedding` adds; need not have unit length.
        max_clusters: Most clusters.
        neighbours: Most neighbours that typicality looks at.
        small: Clusters of at most so many rows come last.

    Cost: k-means over all vectors, then all pairs inside a cluster. Memory: for each row of a cluster its nearest
    `neighbours` + (rows to choose there) distances.

    Raises:
        UsageError: On `select`, for a budget in tokens: the rule needs a number of rows.
    """

    reason: ClassVar[str] = "typical"
    features: str = "embedding"
    max_clusters: int = 500
    neighbours: int = 20
    small: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, value, least in (
            ("max_clusters", self.max_clusters, 1),
            ("neighbours", self.neighbours, 1),
            ("small", self.small, 0),
        ):
            if value < least:
                raise UsageError(f"{name} is {value}; at least {least} is needed")

    def _columns(self) -> list[str]:
        return [self.features]

    def _plan(self, rows: ScoredRows, scores: np.ndarray | None, free: np.ndarray, seed: int, left: int | None) -> Plan:
        if left is None:
            raise UsageError("TypicalitySampler needs to know how many rows to choose: give a share or rows")
        members = Members.read(rows, self.features, free)
        k = max(1, min(len(rows.taken) + left, self.max_clusters))
        groups = KMeansGroups(k=k).assign(
            unit_vectors(members.points).astype(np.float32), [rows.address_list[at] for at in members.at], seed=seed
        )
        clusters = len(groups.names)
        sizes = np.bincount(groups.codes, minlength=clusters)
        has = np.bincount(groups.codes[members.free], minlength=clusters)
        turns = cluster_turns(sizes, has, left, small=self.small)
        wanted = np.bincount(turns, minlength=clusters)
        typicality = np.full(len(members.at), np.nan)
        drawn = np.empty(len(turns), dtype=np.int64)
        for cluster in np.flatnonzero(wanted):
            own = np.flatnonzero((groups.codes == cluster) & members.free)
            picked, typicality[own] = typical_rows(members.points[own], int(wanted[cluster]), self.neighbours)
            drawn[turns == cluster] = own[picked]
        rest = np.setdiff1d(np.flatnonzero(members.free), drawn)
        plan = grouped_plan(rows, members.at[np.concatenate([drawn, rest])], None)
        return Plan(
            plan.order,
            plan.codes,
            plan.names,
            plan.factors,
            plan.notes,
            members.rejected,
            members.where(typicality, len(rows)),
        )


def cluster_turns(sizes: np.ndarray, has: np.ndarray, n: int, *, small: int) -> np.ndarray:
    """Which cluster each of the next rows comes from.

    Args:
        sizes: int64 of shape (clusters,), all rows of each.
        has: int64 of shape (clusters,), its rows that may be chosen; the others are chosen already.
        n: How many rows are to be chosen.
        small: Clusters of at most so many rows are used only when all others are used up.

    Returns:
        int64 of shape (min(n, rows that may be chosen),), clusters in the order of their turns.
    """
    left = has.tolist()
    turns: list[int] = []
    for some in (sizes > small, sizes <= small):
        line = [(int(sizes[at] - has[at]), -int(sizes[at]), at) for at in np.flatnonzero(some & (has > 0)).tolist()]
        heapq.heapify(line)
        while line and len(turns) < n:
            chosen, size, at = line[0]
            turns.append(at)
            left[at] -= 1
            if left[at]:
                heapq.heapreplace(line, (chosen + 1, size, at))
            else:
                heapq.heappop(line)
    return np.array(turns, dtype=np.int64)


def typical_rows(points: np.ndarray, wanted: int, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Choose rows one by one by their typicality among the rows that are left.

    Only rows for which the row that left was one of the nearest are computed anew.

    Args:
        points: Float of shape (rows, d), none all zero.
        wanted: How many, at least 1 and at most the rows.
        most: Most neighbours.

    Returns:
        int64 of shape (wanted,), the chosen rows in order; float64 of shape (rows,), the typicality a row was chosen
        by, NaN for others and for a row that was alone.
    """
    n = len(points)
    near, away = _neighbours(points, min(n - 1, most + wanted - 1))
    listed_by, starts = _listed_by(near, n)
    there = np.ones(n, dtype=bool)
    mean = np.full(n, np.inf)
    reach = np.empty(n)
    picked = np.empty(wanted, dtype=np.int64)
    typicality = np.full(n, np.nan)
    used = -1
    for at in range(wanted):
        k = min(most, (n - at) // 2)
        if at == 0 or k != used:
            stale = np.flatnonzero(there)
        else:
            gone = picked[at - 1]
            stale = listed_by[starts[gone] : starts[gone + 1]]
            row, place = stale // near.shape[1], stale % near.shape[1]
            stale = row[there[row] & (away[row, place] <= reach[row])]
        if k and stale.size:
            block = max(1, BLOCK_BYTES // (16 * near.shape[1]))
            for some in np.split(stale, range(block, stale.size, block)):
                mean[some], reach[some] = _closest(away[some], there[near[some]], k)
        used = k
        chosen = int(np.argmin(mean)) if k else int(np.argmax(there))
        picked[at] = chosen
        typicality[chosen] = 1 / (mean[chosen] + _DUST) if k else np.nan
        there[chosen] = False
        mean[chosen] = np.inf
    return picked, typicality


def _neighbours(points: np.ndarray, m: int) -> tuple[np.ndarray, np.ndarray]:
    """The m nearest other rows of each row, and the distances of unit vectors, ascending; both of shape (rows, m)."""
    n = len(points)
    units = unit_vectors(points)
    near = np.empty((n, m), dtype=np.int64)
    away = np.empty((n, m))
    block = max(1, BLOCK_BYTES // (8 * n))
    for start in range(0, n if m else 0, block):
        squares = np.round(np.maximum(2 - 2 * (units[start : start + block] @ units.T), 0), DIGITS)
        size = len(squares)
        squares[np.arange(size), np.arange(start, start + size)] = np.inf
        some = np.argpartition(squares, m - 1, axis=1)[:, :m]
        distance = np.sqrt(np.take_along_axis(squares, some, axis=1))
        order = np.argsort(distance, axis=1, kind="stable")
        near[start : start + size] = np.take_along_axis(some, order, axis=1)
        away[start : start + size] = np.take_along_axis(distance, order, axis=1)
    return near, away


def _listed_by(near: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Places (flat) where each row is listed as a neighbour, row by row, and where each row's places start."""
    flat = near.ravel()
    counts = np.bincount(flat, minlength=n)
    return np.argsort(flat, kind="stable"), np.concatenate([[0], np.cumsum(counts)])


def _closest(away: np.ndarray, there: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean of the k smallest distances to rows that are left, and the largest of these; each of shape (rows,)."""
    place = np.argsort(~there, axis=1, kind="stable")[:, :k]
    closest = np.take_along_axis(away, place, axis=1)
    return np.round(closest.mean(axis=1), DIGITS), closest[:, -1]
