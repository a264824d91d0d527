"""CorrelationSampler: PRISM's choice: the rows that resemble the rest of the pool least."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from hf_select.errors import UnknownName
from hf_select.sampling.columns import ScoredRows
from hf_select.sampling.draw import random_order
from hf_select.sampling.members import NO_VECTOR, Members
from hf_select.sampling.sampler import Plan, Sampler
from hf_select.sampling.uniform import grouped_plan

_DIGITS = 12
"""Correlations that agree to this many digits are equal."""

_DUST = 1e-12


@dataclass(frozen=True, kw_only=True)
class CorrelationSampler(Sampler):
    """The rows whose mean correlation with all others is lowest (PRISM, arXiv 2502.12119).

    With F_i a row's vector, mu the mean of all rows and rho_ij the cosine of F_i - mu and F_j - mu:

        R_i = 1/(N-1) x sum of rho_ij over j != i          the lowest R_i first, ties by row key

    computed exactly from the sum of the N unit vectors, without pairs. Rows given by `include` count as others.

    Attributes:
        features: Column of vectors, as `HiddenEmbedding` adds.
        without_image: What happens to rows without an image (status "no_image" of the vectors): "reject" (default)
            leaves them out, with a reason, as the method can't judge them; "keep" takes them all first, in a seeded
            order, as the paper does. In LLaVA's pool they are 6 % of the rows, so 40 % of a budget of 15 %.
        group: A column whose labels are groups that share the budget ("row_task"), or None; R_i is over all rows.

    Cost: a few passes over the vectors; two float64 copies of them.
    """

    reason: ClassVar[str] = "uncorrelated"
    features: str = "shallow_hidden"
    without_image: Literal["reject", "keep"] = "reject"
    group: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.without_image not in ("reject", "keep"):
            raise UnknownName("way with rows without an image", self.without_image, ("reject", "keep"))

    def _columns(self) -> list[str]:
        status = [f"{self.features}_status"] if self.without_image == "keep" else []
        return [self.features, *status, *([self.group] if self.group else [])]

    def _plan(self, rows: ScoredRows, scores: np.ndarray | None, free: np.ndarray, seed: int, left: int | None) -> Plan:
        members = Members.read(rows, self.features, free)
        found = mean_correlation(members.points)
        order = np.argsort(found, kind="stable")
        order = members.at[order[members.free[order]]]
        rejected, notes = dict(members.rejected), []
        if self.without_image == "keep":
            kept = free[rows.statuses(f"{self.features}_status")[free] == "no_image"]
            kept = np.setdiff1d(kept, members.at)
            addresses = rows.address_list
            kept = kept[random_order([addresses[at] for at in kept.tolist()], seed=seed, stage="without image")]
            order = np.concatenate([kept, order])
            if len(kept):
                notes.append(f"{len(kept)} rows without an image come first (without_image='keep')")
                rejected[NO_VECTOR] -= len(kept)
        plan = grouped_plan(rows, order, self.group)
        return Plan(
            plan.order,
            plan.codes,
            plan.names,
            plan.factors,
            [*notes, *plan.notes],
            {reason: n for reason, n in rejected.items() if n},
            members.where(found, len(rows)),
        )


def mean_correlation(points: np.ndarray) -> np.ndarray:
    """Mean cosine of each row with all others after the mean of all rows is taken off.

    Args:
        points: Float of shape (rows, d), finite.

    Returns:
        float64 of shape (rows,), in [-1, 1], to 12 digits; 0 for a row that is the mean, and for a row alone.
    """
    if len(points) < 2:
        return np.zeros(len(points))
    units = points.astype(np.float64)
    scale = np.linalg.norm(units, axis=1).max()
    units -= units.mean(axis=0)
    norms = np.linalg.norm(units, axis=1, keepdims=True)
    known = norms > _DUST * scale
    units = np.where(known, units / np.where(known, norms, 1), 0)
    with_itself = known[:, 0].astype(np.float64)
    return np.round((units @ units.sum(axis=0) - with_itself) / (len(points) - 1), _DIGITS)
