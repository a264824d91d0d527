"""IFD (arXiv 2308.12032): rows whose question helps least with the answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from hf_select.recipes.recipe import Cost, Models, SampledRecipe

if TYPE_CHECKING:
    from hf_select.sampling.ranked import Top
    from hf_select.scoring.scorer import Scorer


@dataclass(frozen=True, kw_only=True)
class IFD(SampledRecipe):
    """The largest Instruction-Following Difficulty up to 1 (IFD, arXiv 2308.12032).

    With R the answers, Q the questions and I the images of a row, mean losses per supervised token:

        IFD = loss(R | I, Q) / loss(R | I)

    Near 0: the question says everything about the answer; near 1: it hardly helps; above 1 it hurts, and the paper
    drops such rows as broken. The rest are taken from the largest down. The paper is about text alone and has no I;
    here the images stay in both contexts, as in PreSel's IRS, which is the same ratio.

    The published code first tunes a "pre-experience" model for one epoch on 10 rows of each of 100 clusters of
    instructions; here a run tunes one on a uniform draw, if asked for (`--seed-fraction`). Its denominator keeps a
    prefix of the response template; ours has what the chat template writes. It skips rows that don't fit the window.

    When it fails: rows just below 1 are where the answer follows from the picture or from nothing at all (captions,
    and wrong answers, which no question explains), so label noise is preferred; a loss near 0 without the question
    makes the ratio arbitrary; tasks of short answers get little (`group="row_task"` ranks each on its own). Published
    figures lie between 87.6 and 93.1 of full data, below random.

    Attributes:
        limit: Rows above it are left out; None keeps them.
        group: A column whose labels share the budget by size ("row_task"), or None as in the paper.
        duplicates: "drop" all but one copy of each row, or "keep" them.
    """

    name: ClassVar[str] = "ifd"
    paper: ClassVar[str] = "IFD, arXiv 2308.12032"
    cost: ClassVar[Cost] = Cost(forwards=2)
    limit: float | None = 1.0
    group: str | None = None
    duplicates: Literal["drop", "keep"] = "drop"

    def scorers(self, models: Models) -> tuple[Scorer, ...]:
        """The losses with and without the questions."""
        from hf_select.scoring.answer_loss import AnswerLoss

        return (AnswerLoss(contexts=("full", "no_question"), **models.scoring(self.name)),)

    def sampler(self) -> Top:
        """The decision, once the losses are there."""
        from hf_select.sampling.ranked import Top

        return Top(score="ifd", limit=self.limit, group=self.group, duplicates=self.duplicates)
