"""LeverageSampler: ScalSelect's choice: the rows that lean most on the pool's main directions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hf_select.errors import UsageError
from hf_select.sampling.columns import ScoredRows
from hf_select.sampling.members import Members
from hf_select.sampling.sampler import Plan, Sampler
from hf_select.sampling.uniform import grouped_plan

_DIGITS = 12
"""Scores that agree to this many digits are equal."""

_DUST = 1e-12


@dataclass(frozen=True, kw_only=True)
class LeverageSampler(Sampler):
    """The rows of the highest leverage in the main subspace of all vectors (ScalSelect, arXiv 2602.11636).

    With X the vectors, their column means taken off, and X = U S V^T: k is the smallest number of directions that hold
    `energy` of the squared singular values, and the score of a row is ||U_k[i]||^2, from the d x d covariance as
    ||S_k^-1 V_k^T x_i||^2. The highest scores first, ties by row key. Rows given by `include` are part of X.

    Attributes:
        features: Column of vectors, as `HiddenEmbedding` adds.
        energy: Share of the squared singular values that the directions hold, in (0, 1].
        group: A column whose labels are groups that share the budget ("row_task"), or None; scores are of all rows.

    Cost: 2 x rows x d^2 floating-point operations and one d x d eigendecomposition; 2 float64 copies of the vectors.
    """

    reason: ClassVar[str] = "leverage"
    features: str = "attended_hidden"
    energy: float = 0.9
    group: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.energy <= 1:
            raise UsageError(f"energy is {self.energy}; it is a share above 0, up to 1")

    def _columns(self) -> list[str]:
        return [self.features, *([self.group] if self.group else [])]

    def _plan(self, rows: ScoredRows, scores: np.ndarray | None, free: np.ndarray, seed: int, left: int | None) -> Plan:
        members = Members.read(rows, self.features, free)
        found = leverage(members.points, self.energy)
        order = np.argsort(-found, kind="stable")
        plan = grouped_plan(rows, members.at[order[members.free[order]]], self.group)
        return Plan(
            plan.order,
            plan.codes,
            plan.names,
            plan.factors,
            plan.notes,
            members.rejected,
            members.where(found, len(rows)),
        )


def leverage(points: np.ndarray, energy: float = 0.9) -> np.ndarray:
    """Leverage of each row in the smallest main subspace that holds `energy` of the squared singular values.

    Args:
        points: Float of shape (rows, d), finite.
        energy: In (0, 1].

    Returns:
        float64 of shape (rows,), in [0, 1], to 12 digits; all 0 where the rows are equal.
    """
    if len(points) == 0:
        return np.zeros(0)
    centred = points.astype(np.float64)
    centred -= centred.mean(axis=0)
    values, directions = np.linalg.eigh(centred.T @ centred)
    values, directions = np.maximum(values[::-1], 0), directions[:, ::-1]
    whole = values.sum()
    if whole <= _DUST * np.square(points, dtype=np.float64).sum():
        return np.zeros(len(points))
    held = np.cumsum(values) / whole
    k = int(np.searchsorted(held, energy - _DUST)) + 1
    k = min(k, int((values > _DUST * values[0]).sum()))
    return np.round(np.square(centred @ directions[:, :k] / np.sqrt(values[:k])).sum(axis=1), _DIGITS)
