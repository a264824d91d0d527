"""TypiClust (arXiv 2202.02794): the most typical images of clusters taken in turn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from hf_select.recipes.recipe import Cost, Models, SampledRecipe

if TYPE_CHECKING:
    from hf_select.sampling.typicality import TypicalitySampler
    from hf_select.scoring.scorer import Scorer


@dataclass(frozen=True, kw_only=True)
class TypiClust(SampledRecipe):
    """The most typical images of as many clusters as rows are wanted, up to 500 (TypiClust, arXiv 2202.02794).

    k-means with K = min(included rows + rows to choose, 500) on image features of unit length. Clusters take turns, the
    one of the fewest chosen rows first, then the largest; of the n rows that are left in it the one of the largest

        typicality = 1 / (mean L2 distance to its min(20, n // 2) nearest rows that are left + 1e-5)

    is chosen and removed. See `TypicalitySampler`. Looks at no instruction and no answer.

    The published code clusters with mini-batches above 50 clusters and leaves clusters of at most 5 rows out for good;
    here k-means sees all rows (faiss), and the small clusters wait until all others are used up, so that the budget is
    met. It orders the clusters once and goes round; here the fewest chosen rows decide at every turn, which is the
    same but where clusters start with different numbers of included rows or run out.

    When it fails: equal turns give a cluster of 6 rows as many as one of 600, so rare pictures are all taken while
    frequent ones are thinned; copies of one picture are the most typical rows there are; tasks with the same pictures
    and different questions are one and the same to it.

    Attributes:
        max_clusters: Most clusters.
        neighbours: Most neighbours that typicality looks at.
        small: Clusters of at most so many rows come last.
        duplicates: "drop" all but one copy of each row, or "keep" them.
    """

    name: ClassVar[str] = "typiclust"
    paper: ClassVar[str] = "TypiClust, arXiv 2202.02794"
    cost: ClassVar[Cost] = Cost(encoders=("image",), instructions=False)
    max_clusters: int = 500
    neighbours: int = 20
    small: int = 5
    duplicates: Literal["drop", "keep"] = "drop"

    def scorers(self, models: Models) -> tuple[Scorer, ...]:
        """One vector a row from its pictures."""
        from hf_select.embedding.image import ImageEmbedding

        return (ImageEmbedding(model=models.image_encoder, view=models.view, device=models.device),)

    def sampler(self) -> TypicalitySampler:
        """The decision, once the columns are there."""
        from hf_select.sampling.typicality import TypicalitySampler

        return TypicalitySampler(
            features="embedding",
            max_clusters=self.max_clusters,
            neighbours=self.neighbours,
            small=self.small,
            duplicates=self.duplicates,
        )
