"""Uniform: a seeded random subset, plain or divided over groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hf_select.sampling.columns import ScoredRows
from hf_select.sampling.draw import random_order
from hf_select.sampling.sampler import Plan, Sampler

ALL = "all"


@dataclass(frozen=True, kw_only=True)
class Uniform(Sampler):
    """Draw rows uniformly without replacement.

    The number of a row in the draw comes from (seed, stage, row key): the same rows are drawn whatever the order of
    the pool, and of two budgets the smaller gives a subset of the larger.

    Attributes:
        stratify: A column whose labels are groups ("row_task"), or None. With the default allocation each group gives
            in proportion to its size; with `Allocation(weights="equal")` each gives the same, as far as it can.
        stage: Draws of different stages are independent even under one seed.
    """

    reason: ClassVar[str] = "uniform"
    stratify: str | None = None
    stage: str = "uniform"

    def _columns(self) -> list[str]:
        return [self.stratify] if self.stratify else []

    def _plan(self, rows: ScoredRows, scores: np.ndarray | None, free: np.ndarray, seed: int, left: int | None) -> Plan:
        addresses = rows.address_list
        order = free[random_order([addresses[i] for i in free.tolist()], seed=seed, stage=self.stage)]
        return grouped_plan(rows, order, self.stratify)


def grouped_plan(rows: ScoredRows, order: np.ndarray, column: str | None) -> Plan:
    """A plan that draws in `order` from the groups of `column`, or from one group of all rows."""
    if column is None:
        return Plan(order, np.zeros(len(rows), dtype=np.int64), [ALL], np.ones(1))
    codes, names, unlabelled = rows.labels(column)
    return Plan(order, codes, names, np.ones(len(names)), no_label_notes(rows, column, unlabelled))


def no_label_notes(rows: ScoredRows, column: str, unlabelled: int) -> list[str]:
    """A sentence about rows without a label in `column`, if there are any."""
    if not unlabelled:
        return []
    what = column.removeprefix("row_")
    return [f"{unlabelled} rows have no {what} (column {column!r} is null); they form the group of that name"]
