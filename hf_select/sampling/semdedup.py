"""SemDeDupSampler: near-duplicates inside clusters go, those most similar to an earlier row first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from hf_select.errors import UnknownName, UsageError
from hf_select.sampling.columns import ScoredRows
from hf_select.sampling.kmeans import KMeansGroups
from hf_select.sampling.members import Members
from hf_select.sampling.neighbours import BLOCK_BYTES
from hf_select.sampling.prototypes import DIGITS, centroid_distances, unit_vectors
from hf_select.sampling.sampler import Plan, Sampler
from hf_select.sampling.uniform import grouped_plan

_STEPS = 50
_LOWEST = -1.0


@dataclass(frozen=True, kw_only=True)
class SemDeDupSampler(Sampler):
    """The rows least similar to the rows before them in their cluster (SemDeDup, arXiv 2303.09540).

    Spherical k-means groups the rows, those given by `include` too. In a cluster the included rows come first, then
    the others by distance to the centroid, ties by row key. A row's value is its largest cosine to any earlier row of
    its cluster, also to one that is not chosen; -1 for the first. The rows of the smallest values are chosen, ties by
    row key. That is the paper's rule (drop a row whose value exceeds 1 - eps) with the eps that meets the budget
    exactly. Selection.score is the value.

    Attributes:
        features: Column of vectors, as `HiddenEmbedding` adds; need not have unit length.
        clusters: A share of the rows below 1, or a number. LLaVA's 665K rows were cut into 10,000, 1.5 %.
        keep: Which of two near-duplicates is the earlier one: "hard", the one farther from the centroid, or "easy".
        eps: Rows of a value above 1 - eps are never chosen (rejected as "near duplicate"), even where that leaves the
            budget short; None for no such limit.
        group: A column whose labels are groups that share the budget ("row_task"), or None; clusters are over all rows.

    Cost: 50 steps of k-means, then all pairs inside a cluster, in blocks of `neighbours.BLOCK_BYTES`.
    """

    reason: ClassVar[str] = "distinct"
    features: str = "last_hidden"
    clusters: float = 0.015
    keep: Literal["hard", "easy"] = "hard"
    eps: float | None = None
    group: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        KMeansGroups(k=self.clusters)
        if self.keep not in ("hard", "easy"):
            raise UnknownName("row to keep", self.keep, ("hard", "easy"))
        if self.eps is not None and not 0 < self.eps < 1:
            raise UsageError(f"eps is {self.eps}; give the cosine distance of near-duplicates, above 0 and below 1")

    def _columns(self) -> list[str]:
        return [self.features, *([self.group] if self.group else [])]

    def _plan(self, rows: ScoredRows, scores: np.ndarray | None, free: np.ndarray, seed: int, left: int | None) -> Plan:
        members = Members.read(rows, self.features, free)
        groups = KMeansGroups(k=self.clusters, spherical=True, iterations=_STEPS).assign(
            members.points, [rows.address_list[at] for at in members.at], seed=seed
        )
        distance = centroid_distances(members.points, groups.codes)
        line = np.lexsort((-distance if self.keep == "hard" else distance, members.free, groups.codes))
        value = earlier_similarity(members.points, groups.codes, line)
        order = np.argsort(value, kind="stable")
        order = order[members.free[order]]
        rejected = dict(members.rejected)
        if self.eps is not None:
            near = value[order] > round(1 - self.eps, DIGITS)
            order = order[~near]
            rejected |= {"near duplicate": int(near.sum())} if near.any() else {}
        plan = grouped_plan(rows, members.at[order], self.group)
        return Plan(
            plan.order, plan.codes, plan.names, plan.factors, plan.notes, rejected, members.where(value, len(rows))
        )


def earlier_similarity(points: np.ndarray, codes: np.ndarray, line: np.ndarray) -> np.ndarray:
    """Each row's largest cosine to the rows before it in its cluster.

    Args:
        points: Float of shape (rows, d), none all zero.
        codes: int64 of shape (rows,), each row's cluster.
        line: int64 of shape (rows,), all rows, cluster by cluster in the order that decides who is earlier.

    Returns:
        float64 of shape (rows,), to `DIGITS` digits; -1 for the first row of a cluster.
    """
    value = np.full(len(points), _LOWEST)
    for members in np.split(line, np.flatnonzero(np.diff(codes[line])) + 1) if len(line) else []:
        units = unit_vectors(points[members])
        block = max(1, BLOCK_BYTES // (8 * len(members)))
        for start in range(0, len(members), block):
            similar = units[start : start + block] @ units[: start + block].T
            later = np.arange(similar.shape[1]) >= np.arange(start, start + len(similar))[:, None]
            similar[later] = _LOWEST
            value[members[start : start + block]] = similar.max(axis=1)
    return np.round(value, DIGITS)
