"""The rows that a plan over vectors looks at: those that may be drawn, and those that are chosen already."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hf_select.sampling.columns import ScoredRows
from hf_select.sampling.features import feature_matrix, has_vector

NO_VECTOR = "no embedding"


@dataclass(frozen=True)
class Members:
    """Rows with a vector, in the order of their addresses; copies that were dropped are not among them.

    Attributes:
        at: int64, their positions, ascending.
        points: float32 of shape (members, d).
        free: bool of shape (members,): whether the row may be drawn; the others are chosen already.
        rejected: How many rows could be drawn if they had a vector, by reason.
    """

    at: np.ndarray
    points: np.ndarray
    free: np.ndarray
    rejected: dict[str, int]

    @classmethod
    def read(cls, rows: ScoredRows, column: str, free: np.ndarray) -> Members:
        """The members among the rows at `free` and `rows.taken` by the vectors of `column`."""
        vectors = feature_matrix(rows.table, column)
        usable = has_vector(vectors) & (rows.statuses() == "")
        at = np.sort(np.concatenate([free, rows.taken]))
        at = at[usable[at]]
        drawable = np.isin(at, free)
        lacking = int((~usable[free]).sum())
        return cls(at, vectors[at], drawable, {NO_VECTOR: lacking} if lacking else {})

    def where(self, values: np.ndarray, rows: int) -> np.ndarray:
        """Spread values of the members over all rows: float64 of shape (rows,), NaN elsewhere."""
        spread = np.full(rows, np.nan)
        spread[self.at] = values
        return spread
