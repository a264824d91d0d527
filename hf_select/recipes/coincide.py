"""COINCIDE (arXiv 2406.10995): clusters of concepts by how they transfer and how dense they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from hf_select.recipes.recipe import Cost, Models, SampledRecipe

if TYPE_CHECKING:
    from hf_select.sampling.greedy_mmd import GreedyMMDSampler
    from hf_select.scoring.scorer import Scorer


@dataclass(frozen=True, kw_only=True)
class Coincide(SampledRecipe):
    """Concept clusters of a small model's states, budgets by transferability and density (COINCIDE, arXiv 2406.10995).

    A row's feature joins, for several layers, the mean state over its image places and over its text places, squashed
    by tanh and each of unit length: image parts in the first half, language in the second. Spherical k-means; then for
    cluster c with transferability T_c (mean cosine of its centroid's language half to the others', without those above
    0.9) and density D_c (mean Gaussian kernel over all its pairs):

        P_c = softmax(T_c / (temperature x D_c))

    The clusters are visited from the largest P_c, each gets its share of what is left, and inside a cluster rows are
    chosen greedily to lower the maximum mean discrepancy to it. See `GreedyMMDSampler`.

    The published code rounds and can end short of the budget; `preset="paper"` does too, "safe" goes on until it is
    spent. Of rows without an image it averages whatever stands at the image's places; here they have no vector and are
    left out, with a reason. It stores vectors in half precision, ours are single. Where it averages "the rest" of the
    cosines, we read: those not above 0.9; T is 0 where there are none.

    When it fails: with few clusters the softmax puts nearly all rows into one or two of them (a higher
    temperature spreads them); clusters that are one task each starve tasks of low transferability.

    Cost: one pass of the model to five sixths of its depth; the paper's model is a small one, of 2 billion weights.

    Attributes:
        clusters: A share of the rows below 1 (the paper's 10,000 of 665,298 are 1.5 %), or a number.
        temperature: The paper's 0.1; larger values spread the budget more evenly.
        preset: "safe" or "paper".
        duplicates: "drop" all but one copy of each row, or "keep" them.
    """

    name: ClassVar[str] = "coincide"
    paper: ClassVar[str] = "COINCIDE, arXiv 2406.10995"
    cost: ClassVar[Cost] = Cost(forwards=1)
    clusters: float = 0.015
    temperature: float = 0.1
    preset: Literal["safe", "paper"] = "safe"
    duplicates: Literal["drop", "keep"] = "drop"

    def scorers(self, models: Models) -> tuple[Scorer, ...]:
        """The joined mean states of image and text places."""
        from hf_select.embedding.hidden import HiddenEmbedding

        return (HiddenEmbedding.coincide(**models.scoring(self.name)),)

    def sampler(self) -> GreedyMMDSampler:
        """The decision, once the columns are there."""
        from hf_select.sampling.greedy_mmd import GreedyMMDSampler

        return GreedyMMDSampler(
            features="coincide_hidden",
            clusters=self.clusters,
            temperature=self.temperature,
            preset=self.preset,
            duplicates=self.duplicates,
        )
