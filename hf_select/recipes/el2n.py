"""EL2N (arXiv 2107.07075): rows on whose answers a model's probabilities are far from the truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from hf_select.recipes.ranked import Keep, RankedRecipe
from hf_select.recipes.recipe import Cost, Models

if TYPE_CHECKING:
    from hf_select.scoring.scorer import Scorer


@dataclass(frozen=True, kw_only=True)
class EL2N(RankedRecipe):
    """The largest error of the predicted distribution over answer tokens (EL2N, arXiv 2107.07075).

    With z_j the logits before supervised token y_j:

        EL2N = mean over j of ||softmax(z_j) - onehot(y_j)||_2          between 0 and sqrt(2)

    The paper averages over several models early in training and keeps the largest; here it is one model, as in the
    version for vision-language models (COINCIDE's comparison), whose launch flag for top, middle or bottom isn't
    public. That version stores half precision, which makes many ties, and counts a NaN as 0; here numbers are float32
    and rows without one are left out.

    When it fails: the largest errors are wrong answers and answers that can't be known (names, dates), so noise is
    preferred, the more so the better the model; it says nothing of diversity, and one hard task can take the whole
    budget (`group="row_task"` ranks each on its own). `keep="middle"` is the usual remedy for noise.

    Attributes:
        keep: "top", "middle" or "bottom".
        window: Lowest and highest percentile that "middle" may choose.
        group: A column whose labels share the budget by size ("row_task"), or None as in the paper.
        duplicates: "drop" all but one copy of each row, or "keep" them.
    """

    name: ClassVar[str] = "el2n"
    paper: ClassVar[str] = "EL2N, arXiv 2107.07075"
    cost: ClassVar[Cost] = Cost(forwards=1)
    score: ClassVar[str] = "el2n"
    keep: Keep = "top"
    window: tuple[float, float] = (0.0, 1.0)
    group: str | None = None
    duplicates: Literal["drop", "keep"] = "drop"

    def scorers(self, models: Models) -> tuple[Scorer, ...]:
        """The statistics of answer tokens."""
        from hf_select.scoring.token_stats import TokenStats

        return (TokenStats(**models.scoring(self.name)),)
