"""PrototypeSampler: the rows far from, or near to, the centroid of their cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from hf_select.errors import UnknownName
from hf_select.sampling.columns import ScoredRows
from hf_select.sampling.kmeans import KMeansGroups
from hf_select.sampling.members import Members
from hf_select.sampling.sampler import Plan, Sampler
from hf_select.sampling.uniform import grouped_plan

DIGITS = 10
"""Distances and similarities that agree to this many digits are equal, so that rounding errors break no ties."""


@dataclass(frozen=True, kw_only=True)
class PrototypeSampler(Sampler):
    """Rows by their distance to the prototype of their cluster (Self-Sup prototypes, arXiv 2206.14486).

    Spherical k-means groups the rows, those given by `include` too; with x of unit length and c the mean of a cluster's
    rows brought to unit length, a row's score is 1 - cos(x, c). Ties go by row key. Selection.score is that distance.

    Attributes:
        features: Column of vectors, as `HiddenEmbedding` and `ImageEmbedding` add; need not have unit length.
        clusters: A share of the rows below 1, or a number.
        prefer: "far" (hard rows; the paper's advice where data is plentiful) or "near" (typical rows, where it isn't).
        group: A column whose labels are groups that share the budget ("row_task"), or None; clusters are over all rows.

    Cost: k-means over all vectors; no pairs.
    """

    reason: ClassVar[str] = "prototype"
    features: str = "last_hidden"
    clusters: float = 0.01
    prefer: Literal["far", "near"] = "far"
    group: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        KMeansGroups(k=self.clusters)
        if self.prefer not in ("far", "near"):
            raise UnknownName("preference", self.prefer, ("far", "near"))

    def _columns(self) -> list[str]:
        return [self.features, *([self.group] if self.group else [])]

    def _plan(self, rows: ScoredRows, scores: np.ndarray | None, free: np.ndarray, seed: int, left: int | None) -> Plan:
        members = Members.read(rows, self.features, free)
        groups = KMeansGroups(k=self.clusters, spherical=True).assign(
            members.points, [rows.address_list[at] for at in members.at], seed=seed
        )
        distance = centroid_distances(members.points, groups.codes)
        order = np.argsort(-distance if self.prefer == "far" else distance, kind="stable")
        plan = grouped_plan(rows, members.at[order[members.free[order]]], self.group)
        return Plan(
            plan.order,
            plan.codes,
            plan.names,
            plan.factors,
            plan.notes,
            members.rejected,
            members.where(distance, len(rows)),
        )


def unit_vectors(points: np.ndarray) -> np.ndarray:
    """The vectors with L2 norm 1 in float64, where `features.unit` would round to float32; none may be zero."""
    wide = points.astype(np.float64)
    return wide / np.linalg.norm(wide, axis=-1, keepdims=True)


def centroid_distances(points: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """1 - cosine of each row with the mean of its cluster's rows.

    Args:
        points: Float of shape (rows, d), none all zero.
        codes: int64 of shape (rows,), each row's cluster, from 0.

    Returns:
        float64 of shape (rows,), to `DIGITS` digits; 1 where the rows of a cluster cancel out.
    """
    clusters = int(codes.max(initial=-1)) + 1
    order = np.argsort(codes, kind="stable")
    distance = np.empty(len(points))
    for members in np.split(order, np.cumsum(np.bincount(codes, minlength=clusters))[:-1]) if clusters else []:
        units = unit_vectors(points[members])
        centre = units.sum(axis=0)
        norm = np.linalg.norm(centre)
        cancelled = norm <= len(members) * np.finfo(np.float64).eps
        distance[members] = 1.0 if cancelled else 1 - units @ (centre / norm)
    return np.round(distance, DIGITS)
