"""SemDeDup (arXiv 2303.09540): rows unlike those before them in their cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from hf_select.recipes.recipe import Cost, Models, SampledRecipe

if TYPE_CHECKING:
    from hf_select.sampling.semdedup import SemDeDupSampler
    from hf_select.scoring.scorer import Scorer


@dataclass(frozen=True, kw_only=True)
class SemDeDup(SampledRecipe):
    """Near-duplicates inside clusters of a model's states go, the most similar first (SemDeDup, arXiv 2303.09540).

    A row's feature is the last layer's hidden state at its last token, of unit length. Spherical k-means; in a cluster
    rows stand in the order of their distance to the centroid, the farthest first, and

        v_i = max cos(x_i, x_j) over the rows j before i          the rows of the smallest v_i over the whole pool

    which is the paper's rule, drop where v_i > 1 - eps, with the eps that meets the budget. See `SemDeDupSampler`.

    The published code tries a list of eps by hand, takes the one whose count is closest above the budget and cuts the
    rest off in the order of clusters, so the last clusters lose rows; here the budget is met by v_i alone. The version
    for vision-language models (COINCIDE's comparison) has 10,000 clusters of 665,298 rows and 50 steps, as here.

    When it fails: beyond true duplicates v_i says little about a row's worth, and at small budgets the rows that are
    left are outliers (broken pictures, odd answers); the state at the last token is mostly about the answer, so short
    answers ("yes", "B") look like duplicates whatever the picture, and tasks of short answers starve
    (`group="row_task"` shares the budget out).

    Attributes:
        clusters: A share of the rows below 1 (the paper's 10,000 of 665,298 are 1.5 %), or a number.
        keep: "hard" (far from the centroid) or "easy": which of two near-duplicates stays.
        eps: Never choose rows with v_i above 1 - eps, even where that leaves the budget short; None for no such limit.
        group: A column whose labels share the budget by size ("row_task"), or None as in the paper.
        duplicates: "drop" all but one copy of each row, or "keep" them.
    """

    name: ClassVar[str] = "semdedup"
    paper: ClassVar[str] = "SemDeDup, arXiv 2303.09540"
    cost: ClassVar[Cost] = Cost(forwards=1)
    clusters: float = 0.015
    keep: Literal["hard", "easy"] = "hard"
    eps: float | None = None
    group: str | None = None
    duplicates: Literal["drop", "keep"] = "drop"

    def scorers(self, models: Models) -> tuple[Scorer, ...]:
        """The last layer's hidden state at each row's last token."""
        from hf_select.embedding.hidden import HiddenEmbedding

        return (HiddenEmbedding.last(**models.scoring(self.name)),)

    def sampler(self) -> SemDeDupSampler:
        """The decision, once the columns are there."""
        from hf_select.sampling.semdedup import SemDeDupSampler

        return SemDeDupSampler(
            features="last_hidden",
            clusters=self.clusters,
            keep=self.keep,
            eps=self.eps,
            group=self.group,
            duplicates=self.duplicates,
        )
