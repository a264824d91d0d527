"""Perplexity: rows whose answers surprise a model by so much and no more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from hf_select.recipes.ranked import Keep, RankedRecipe
from hf_select.recipes.recipe import Cost, Models

if TYPE_CHECKING:
    from hf_select.scoring.scorer import Scorer


@dataclass(frozen=True, kw_only=True)
class Perplexity(RankedRecipe):
    """The rows in the middle of the range of perplexity (arXiv 2309.04564, used for images by DICS, XMAS and mmSSR).

    With R the answers, Q the questions and I the images of a row, mean over supervised tokens:

        PPL = exp(loss(R | I, Q))

    by a model that was tuned on some of the pool or on all of it. "middle" takes the rows nearest to the median first;
    with a window, to the window's centre, and none outside. Middle is what papers on images use, without naming a
    window. A perplexity beyond float64 (mean loss above 709 nats) is no score: such rows are left out.

    When it fails: it is a map of answer styles before it is one of worth. One-word answers have the highest and the
    lowest values and captions the middle, so tasks starve (`group="row_task"` ranks each on its own); "top" collects
    wrong answers; "bottom" what is known already. Published figures lie below random (89.9 to 91.9 of full data).

    Attributes:
        keep: "top", "middle" or "bottom".
        window: Lowest and highest percentile that "middle" may choose.
        group: A column whose labels share the budget by size ("row_task"), or None as in the papers.
        duplicates: "drop" all but one copy of each row, or "keep" them.
    """

    name: ClassVar[str] = "perplexity"
    paper: ClassVar[str] = "arXiv 2309.04564"
    cost: ClassVar[Cost] = Cost(forwards=1)
    score: ClassVar[str] = "perplexity"
    keep: Keep = "middle"
    window: tuple[float, float] = (0.0, 1.0)
    group: str | None = None
    duplicates: Literal["drop", "keep"] = "drop"

    def scorers(self, models: Models) -> tuple[Scorer, ...]:
        """The loss of each row's answers."""
        from hf_select.scoring.answer_loss import AnswerLoss

        return (AnswerLoss(**models.scoring(self.name)),)
