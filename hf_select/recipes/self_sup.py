"""Self-Sup prototypes (arXiv 2206.14486): the rows far from the centre of their cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from hf_select.recipes.recipe import Cost, Models, SampledRecipe

if TYPE_CHECKING:
    from hf_select.sampling.prototypes import PrototypeSampler
    from hf_select.scoring.scorer import Scorer


@dataclass(frozen=True, kw_only=True)
class SelfSup(SampledRecipe):
    """The rows farthest from the prototype of their cluster (Self-Sup prototypes, arXiv 2206.14486).

    A row's feature x is the last layer's hidden state at its last token, of unit length; c is the centroid of its
    cluster (spherical k-means):

        d_i = 1 - cos(x_i, c)          the rows of the largest d_i, or with `prefer="near"` the smallest

    See `PrototypeSampler`. The paper is about images, and keeps far ("hard") rows where data is plentiful and near
    ("easy") ones where it is scarce. Published are its scores only, no code; model and number of clusters of its uses
    for instruction tuning are not known, so `clusters` is ours.

    When it fails: the farthest rows are outliers, so wrong answers and broken pictures come first; a task whose
    clusters are wide takes most of the budget (`group="row_task"` shares it out); with "near", near-duplicates.

    Attributes:
        clusters: A share of the rows below 1, or a number.
        prefer: "far" or "near".
        group: A column whose labels share the budget by size ("row_task"), or None as in the paper.
        duplicates: "drop" all but one copy of each row, or "keep" them.
    """

    name: ClassVar[str] = "self_sup"
    paper: ClassVar[str] = "Self-Sup prototypes, arXiv 2206.14486"
    cost: ClassVar[Cost] = Cost(forwards=1)
    clusters: float = 0.01
    prefer: Literal["far", "near"] = "far"
    group: str | None = None
    duplicates: Literal["drop", "keep"] = "drop"

    def scorers(self, models: Models) -> tuple[Scorer, ...]:
        """The last layer's hidden state at each row's last token."""
        from hf_select.embedding.hidden import HiddenEmbedding

        return (HiddenEmbedding.last(**models.scoring(self.name)),)

    def sampler(self) -> PrototypeSampler:
        """The decision, once the columns are there."""
        from hf_select.sampling.prototypes import PrototypeSampler

        return PrototypeSampler(
            features="last_hidden",
            clusters=self.clusters,
            prefer=self.prefer,
            group=self.group,
            duplicates=self.duplicates,
        )
