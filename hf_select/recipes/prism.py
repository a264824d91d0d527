"""PRISM (arXiv 2502.12119): the rows whose images look least like the rest of the pool to the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from hf_select.recipes.recipe import Cost, Models, SampledRecipe

if TYPE_CHECKING:
    from hf_select.sampling.correlation import CorrelationSampler
    from hf_select.scoring.scorer import Scorer


@dataclass(frozen=True, kw_only=True)
class Prism(SampledRecipe):
    """The lowest mean correlation of centred image features (PRISM, arXiv 2502.12119).

    With F_i the mean over a row's image places of a shallow layer's hidden states in the model that will be tuned, and
    mu their mean over the pool:

        R_i = 1/(N-1) x sum over j != i of cos(F_i - mu, F_j - mu)          the rows of the lowest R_i

    computed exactly from the sum of all unit vectors. No published code is known, and the paper's layer isn't stated
    in what we could read; "shallow" is the early part of the network. The paper keeps all rows without an image; here
    they are left out unless `without_image="keep"`.

    When it fails: the lowest correlations are outliers, so broken or odd pictures come first; a small task whose
    pictures differ from the pool's can take most of the budget (`group="row_task"` shares it out); rows with one
    picture and different questions are one and the same to it.

    Cost: the vision tower and an eighth of the language model's layers, one pass without gradients.

    Attributes:
        without_image: "reject" rows without an image, with a reason, or "keep" them all first.
        group: A column whose labels share the budget by size ("row_task"), or None as in the paper.
        duplicates: "drop" all but one copy of each row, or "keep" them.
    """

    name: ClassVar[str] = "prism"
    paper: ClassVar[str] = "PRISM, arXiv 2502.12119"
    cost: ClassVar[Cost] = Cost(forwards=0.125)
    without_image: Literal["reject", "keep"] = "reject"
    group: str | None = None
    duplicates: Literal["drop", "keep"] = "drop"

    def scorers(self, models: Models) -> tuple[Scorer, ...]:
        """The mean hidden state over image places of a shallow layer."""
        from hf_select.embedding.hidden import HiddenEmbedding

        return (HiddenEmbedding.shallow(**models.scoring(self.name)),)

    def sampler(self) -> CorrelationSampler:
        """The decision, once the columns are there."""
        from hf_select.sampling.correlation import CorrelationSampler

        return CorrelationSampler(
            features="shallow_hidden",
            without_image=self.without_image,
            group=self.group,
            duplicates=self.duplicates,
        )
