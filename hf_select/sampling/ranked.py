"""Top, Middle and Bottom: rows by rank of a score. The direction is in the name, never implied."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from hf_select.errors import UsageError
from hf_select.sampling.bins import ascending
from hf_select.sampling.columns import ScoredRows
from hf_select.sampling.sampler import Plan, Sampler
from hf_select.sampling.uniform import grouped_plan


@dataclass(frozen=True, kw_only=True)
class Ranked(Sampler):
    """A sampler by rank.

    Attributes:
        score: A numeric column, or a scorer's prefix and a kind of `derived` ("loss", "seed_ifd", ...).
        group: A column whose labels are groups that are ranked on their own ("row_task"), or None.
    """

    score: str
    group: str | None = None

    @property
    def _score(self) -> str:
        return self.score

    def _columns(self) -> list[str]:
        return [self.group] if self.group else []


@dataclass(frozen=True, kw_only=True)
class Top(Ranked):
    """The rows with the highest scores; equal scores by row key, ascending.

    Attributes:
        limit: Rows with a score above it are left out, counted as "above LIMIT"; None for no limit.
    """

    reason: ClassVar[str] = "top"
    limit: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.limit is not None and not math.isfinite(self.limit):
            raise UsageError(f"limit is the largest score that may be chosen, or None for no limit, not {self.limit}")

    def _plan(self, rows: ScoredRows, scores: np.ndarray | None, free: np.ndarray, seed: int, left: int | None) -> Plan:
        within = free if self.limit is None else free[scores[free] <= self.limit]
        plan = grouped_plan(rows, within[ascending(-scores[within])], self.group)
        above = free.size - within.size
        return replace(plan, rejected={f"above {self.limit:g}": above}) if above else plan


@dataclass(frozen=True, kw_only=True)
class Bottom(Ranked):
    """The rows with the lowest scores; equal scores by row key, ascending."""

    reason: ClassVar[str] = "bottom"

    def _plan(self, rows: ScoredRows, scores: np.ndarray | None, free: np.ndarray, seed: int, left: int | None) -> Plan:
        return grouped_plan(rows, free[ascending(scores[free])], self.group)


@dataclass(frozen=True, kw_only=True)
class Middle(Ranked):
    """The rows in the middle of a percentile window, nearest to its centre first; equal distances by the lower score.

    Attributes:
        window: Lowest and highest percentile that may be chosen, in [0, 1], inside each group. A window that has
            fewer rows than the budget gives a short Selection.
    """

    reason: ClassVar[str] = "middle"
    window: tuple[float, float] = (0.0, 1.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.window[0] < self.window[1] <= 1:
            raise UsageError(f"a window is two percentiles 0 <= low < high <= 1, not {self.window}")

    def _plan(self, rows: ScoredRows, scores: np.ndarray | None, free: np.ndarray, seed: int, left: int | None) -> Plan:
        plan = grouped_plan(rows, free[ascending(scores[free])], self.group)
        order = plan.order[np.argsort(plan.codes[plan.order], kind="stable")]
        group = plan.codes[order]
        sizes = np.bincount(group, minlength=len(plan.names))
        place = (np.arange(order.size) - (np.cumsum(sizes) - sizes)[group] + 0.5) / sizes[group]
        inside = (place >= self.window[0]) & (place <= self.window[1])
        distance = np.round(np.abs(place - sum(self.window) / 2), 12)
        nearest = np.argsort(np.where(inside, distance, np.inf), kind="stable")[: int(inside.sum())]
        outside = int((~inside).sum())
        rejected = {"outside window": outside} if outside else {}
        return Plan(order[nearest], plan.codes, plan.names, plan.factors, plan.notes, rejected)
