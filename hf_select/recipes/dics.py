"""DICS: rows whose answers need the image and whose questions need the answer, far from each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from hf_select.recipes.recipe import Cost, Models, SampledRecipe

if TYPE_CHECKING:
    from hf_select.sampling.farthest_point import FarthestPointSampler
    from hf_select.scoring.scorer import Scorer


@dataclass(frozen=True, kw_only=True)
class DICS(SampledRecipe):
    """Dual-direction image and response contribution, then farthest-point sampling (DICS, repo cqu-student/DICS).

    With x the questions, y the answers and I the images of a row, L mean losses per supervised token:

        VIC = exp(L(y | x) - L(y | x, I))      RIC = exp(L(x | I) - L(x | y, I))      DIC = min(VIC, RIC)

    Of m rows, n still to choose: the 2n of the largest DIC are thinned out to n by farthest-point sampling on the last
    token's hidden state of the last layer (see `FarthestPointSampler` for n = m / 2 and more). The paper scores with a
    model tuned on a random 5 % of the pool before; give that model, and those rows as `include` where they count.

    What the paper does differently: it weighs function words 0.1 (without that it loses about 1 point at 25 %), here
    all tokens weigh the same; it averages the losses of turns, here of tokens; it gives rows without an image DIC = 1,
    here they have what their losses say, if the model reads them. When rows are chosen already, here they count as
    points to keep away from.

    When it fails: odd rows are far from everything, so noise that passes the pool of 2n is preferred; at n = m / 2 and
    above, distance decides about half of the rows or none. Its paper's scoring took nearly the time that it saved.

    Attributes:
        duplicates: "drop" all but one copy of each row, or "keep" them.
    """

    name: ClassVar[str] = "dics"
    paper: ClassVar[str] = "DICS, repo cqu-student/DICS"
    cost: ClassVar[Cost] = Cost(forwards=5, tuned=0.05)
    duplicates: Literal["drop", "keep"] = "drop"

    def scorers(self, models: Models) -> tuple[Scorer, ...]:
        """The losses of the four contexts, and the last hidden state of the last token."""
        from hf_select.embedding.hidden import HiddenEmbedding
        from hf_select.scoring.answer_loss import AnswerLoss

        options = models.scoring(self.name)
        contexts = ("full", "no_image", "inverse", "inverse_no_answer")
        return AnswerLoss(contexts=contexts, **options), HiddenEmbedding.last(**options)

    def sampler(self) -> FarthestPointSampler:
        """The decision, once the columns are there."""
        from hf_select.sampling.farthest_point import FarthestPointSampler

        return FarthestPointSampler(score="dic", features="last_hidden", duplicates=self.duplicates)
