"""VisNec (arXiv 2603.01195): of each kind of question, the rows whose answers need the image most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from hf_select.recipes.recipe import Cost, Models, SampledRecipe

if TYPE_CHECKING:
    from hf_select.sampling.grouped import GroupedSampler
    from hf_select.scoring.scorer import Scorer


@dataclass(frozen=True, kw_only=True)
class VisNec(SampledRecipe):
    """Visual necessity inside clusters of first questions (VisNec, arXiv 2603.01195).

    With R a row's answers, Q its questions and I its images, mean losses per supervised token:

        VisNec = loss(R | Q) - loss(R | I, Q)

    Negative: the image misleads; near 0: it isn't needed. K-means on a text embedding of the first question makes
    `clusters` groups; each gives rows in proportion to its size, at least one, those of the largest VisNec, ties by
    row key. The paper scores with the model as it is before instruction tuning.

    The published code takes max(1, floor(share x n)) of each cluster, so a little less or more than the budget; here
    the budget is exact. Its clustering goes in mini-batches, ours looks at all rows. Its text-only prompt keeps one
    masked place where the image was; ours has none.

    When it fails: a model that can't see yet (an untrained projector) has no difference to tell; rows whose loss
    without the image is huge for another reason (wrong answers in the style of no other row) rank high; rows of text
    alone score about 0 and are mostly dropped.

    Attributes:
        clusters: How many kinds of questions: a number, or a share of the rows below 1.
        duplicates: "drop" all but one copy of each row, or "keep" them.
    """

    name: ClassVar[str] = "visnec"
    paper: ClassVar[str] = "VisNec, arXiv 2603.01195"
    cost: ClassVar[Cost] = Cost(forwards=2, encoders=("text",))
    clusters: float = 20
    duplicates: Literal["drop", "keep"] = "drop"

    def scorers(self, models: Models) -> tuple[Scorer, ...]:
        """The losses with and without the image, and the vector of the first question."""
        from hf_select.embedding.text import TextEmbedding
        from hf_select.scoring.answer_loss import AnswerLoss

        losses = AnswerLoss(contexts=("full", "no_image"), **models.scoring(self.name))
        questions = TextEmbedding(model=models.text_encoder, max_length=256, view=models.view, device=models.device)
        return losses, questions

    def sampler(self) -> GroupedSampler:
        """The decision, once the columns are there."""
        from hf_select.sampling.allocation import Allocation
        from hf_select.sampling.grouped import GroupedSampler

        return GroupedSampler(
            score="visual",
            groups="clusters:text_embedding",
            clusters=self.clusters,
            alpha=0.0,
            within="top",
            stage=self.name,
            allocation=Allocation(rounding="floor_min1"),
            duplicates=self.duplicates,
        )
