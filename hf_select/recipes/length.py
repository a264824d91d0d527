"""Length: the rows with the longest answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from hf_select.recipes.ranked import Keep, RankedRecipe
from hf_select.recipes.recipe import Cost, Models

if TYPE_CHECKING:
    from hf_select.scoring.scorer import Scorer


@dataclass(frozen=True, kw_only=True)
class Length(RankedRecipe):
    """The rows with the most answer tokens ("Length" in published tables; a baseline without a paper of its own).

    score = supervised tokens of all answers of a row, end-of-turn tokens included, under the model's tokenizer. Needs
    the processor alone: no forward pass. Rows that don't fit the window are left out, since they can't be tuned on.

    Published figures are far below random (88.8 against 96.7 of full data at 25 % of LLaVA-665K); whether those count
    the answers or whole conversations is not said.

    When it fails: nearly always. Long answers are a task's style, not its worth: all of the budget goes to captions
    and dialogues, and short-answer tasks (OCR, counting, yes or no) get nothing. `group="row_task"` keeps every task
    in proportion and asks only which of its rows are long. Ties are many, and go by row key.

    Attributes:
        keep: "top" (longest), "middle" or "bottom".
        window: Lowest and highest percentile that "middle" may choose.
        group: A column whose labels share the budget by size ("row_task"), or None as in published tables.
        duplicates: "drop" all but one copy of each row, or "keep" them.
    """

    name: ClassVar[str] = "length"
    paper: ClassVar[str] = "none (a baseline, as in DICS)"
    cost: ClassVar[Cost] = Cost()
    score: ClassVar[str] = "tokens_full"
    keep: Keep = "top"
    window: tuple[float, float] = (0.0, 1.0)
    group: str | None = None
    duplicates: Literal["drop", "keep"] = "drop"

    def scorers(self, models: Models) -> tuple[Scorer, ...]:
        """The count of each row's answer tokens."""
        from hf_select.scoring.answer_length import AnswerLength

        return (AnswerLength(model=models.vlm(self.name), max_length=models.max_length, view=models.view),)
