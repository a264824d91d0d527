"""CLIP-Score: rows whose text and picture are alike to an image-text encoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from hf_select.embedding.text import TEXTS
from hf_select.errors import UnknownName
from hf_select.recipes.ranked import Keep, RankedRecipe
from hf_select.recipes.recipe import Cost, Models

if TYPE_CHECKING:
    from hf_select.scoring.scorer import Scorer


@dataclass(frozen=True, kw_only=True)
class ClipScore(RankedRecipe):
    """The highest cosine of picture and text under an image-text encoder (CLIP-Score, arXiv 2104.08718).

        score = cos(encoder(I), encoder(text))

    Published uses differ in the text (DICS takes the question, Self-Filter the whole conversation), most don't say
    which end is kept, and results spread from 90.3 (15 % of LLaVA-665K) to 98.7 of full data (25 %). Texts longer than
    the encoder's window (77 tokens for CLIP) are judged by their beginning.

    When it fails: encoders are trained on captions. Descriptions score high; "How many?", OCR and yes-or-no questions
    score low whatever their worth, so those tasks starve (`group="row_task"` ranks each on its own). Pictures with
    printed words match texts that hold the same words. Rows without a picture have no score and are left out.

    Attributes:
        text: "first_question", "questions", "answers" or "conversation"; what is scored, so another needs other scores.
        keep: "top", "middle" or "bottom".
        window: Lowest and highest percentile that "middle" may choose.
        group: A column whose labels share the budget by size ("row_task"), or None as in published tables.
        duplicates: "drop" all but one copy of each row, or "keep" them.
    """

    name: ClassVar[str] = "clip_score"
    paper: ClassVar[str] = "CLIP-Score, arXiv 2104.08718"
    cost: ClassVar[Cost] = Cost(encoders=("dual",))
    score: ClassVar[str] = "clip_score"
    text: Literal["first_question", "questions", "answers", "conversation"] = "questions"
    keep: Keep = "top"
    window: tuple[float, float] = (0.0, 1.0)
    group: str | None = None
    duplicates: Literal["drop", "keep"] = "drop"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.text not in TEXTS:
            raise UnknownName("text", self.text, TEXTS)

    def scorers(self, models: Models) -> tuple[Scorer, ...]:
        """The cosine of each row's picture and text."""
        from hf_select.scoring.pair_similarity import PairSimilarity

        return (PairSimilarity(model=models.dual_encoder, text=self.text, view=models.view, device=models.device),)
