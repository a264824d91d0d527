"""ScalSelect (arXiv 2602.11636): the rows that span what the instructions look at in the images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from hf_select.recipes.recipe import Cost, Models, SampledRecipe

if TYPE_CHECKING:
    from hf_select.sampling.leverage import LeverageSampler
    from hf_select.scoring.scorer import Scorer


@dataclass(frozen=True, kw_only=True)
class ScalSelect(SampledRecipe):
    """The highest leverage scores of instruction-conditioned image features (ScalSelect, arXiv 2602.11636).

    A row's feature is the mean first-layer hidden state of the image places that hold 90 % of what the user's text
    attends to in the first layer. Columns are centred; k directions hold `energy` of the squared singular values:

        X = U S V^T          score_i = ||U_k[i]||^2          the rows of the highest score

    computed from the d x d covariance, without a decomposition of the rows x d matrix. Columns are centred only, as in
    the published script; the published code's own defaults also standardise columns and normalise rows. It finds the
    answers' tokens by searching for the tokenised answer, and takes them for user text where that fails; here they are
    known from the template. Rows without an image are outside the method and left out, with a reason.

    When it fails: leverage is largest for outliers; tasks whose pictures spread along the main directions take most of
    the budget (`group="row_task"` shares it out); near-duplicates of a high row are all high.

    Cost: the vision tower and the first of the language model's layers with its attention weights, a twentieth of a
    pass in a model of 20 layers; then 2 x rows x d^2 operations.

    Attributes:
        energy: Share of the squared singular values that the directions hold, in (0, 1].
        group: A column whose labels share the budget by size ("row_task"), or None as in the paper.
        duplicates: "drop" all but one copy of each row, or "keep" them.
    """

    name: ClassVar[str] = "scalselect"
    paper: ClassVar[str] = "ScalSelect, arXiv 2602.11636"
    cost: ClassVar[Cost] = Cost(forwards=0.05)
    energy: float = 0.9
    group: str | None = None
    duplicates: Literal["drop", "keep"] = "drop"

    def scorers(self, models: Models) -> tuple[Scorer, ...]:
        """The mean hidden state of the image places that the user's text attends to."""
        from hf_select.embedding.hidden import HiddenEmbedding

        return (HiddenEmbedding.attended(**models.scoring(self.name)),)

    def sampler(self) -> LeverageSampler:
        """The decision, once the columns are there."""
        from hf_select.sampling.leverage import LeverageSampler

        return LeverageSampler(
            features="attended_hidden", energy=self.energy, group=self.group, duplicates=self.duplicates
        )
