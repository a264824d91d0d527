"""The questions of a row as texts, to find the same question elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from hf_select.pool.row import OK, Row
from hf_select.scoring.scorer import Scorer


@dataclass(frozen=True, kw_only=True)
class QuestionText(Scorer):
    """What a row asks, one text a question, so that texts can be compared without reading the pool again.

    Column: question_texts (list<string>), the user's text before each answer; null where the row can't be used.
    """

    scoring_version: ClassVar[int] = 1

    @property
    def adds(self) -> Mapping[str, str]:
        """The one column."""
        return {"question_texts": "list<string>"}

    def score(self, rows: Sequence[Row]) -> dict[str, list]:
        """Return the questions of each row."""
        texts = [[question for question, _ in row.turns] if row.status == OK else None for row in rows]
        return {"question_texts": texts}
