"""D2 pruning (arXiv 2310.07931): difficulty and diversity by messages on a graph of neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from hf_select.recipes.recipe import Cost, Models, SampledRecipe

if TYPE_CHECKING:
    from hf_select.sampling.message_passing import MessagePassingSampler
    from hf_select.scoring.scorer import Scorer


@dataclass(frozen=True, kw_only=True)
class D2Pruning(SampledRecipe):
    """Scores passed between nearest neighbours, then the best row again and again (D2 pruning, arXiv 2310.07931).

    s_i is a row's score and d_ij the distance of unit vectors (the last layer's hidden state at the last token) to its
    k nearest rows:

        g_i = s_i + sum of exp(-gamma_forward d_ij) s_j over its neighbours j
        choose i = argmax g; then g_j <- g_j - exp(-gamma_reverse d_ij) g_i for its neighbours j; again

    See `MessagePassingSampler`. By default s is the margin, the mean over answer tokens of p(target) - max other p, no
    less than 1e-7, as in the version for vision-language models (COINCIDE's comparison): large margins, that is easy
    rows, are preferred.

    The published code visits rows in their first order and puts those that fell on a standby list, which is not the
    argmax, and can run past its end; here it is the argmax at every step. The version for vision-language models
    averages hidden states over all places, padding too, and has approximate neighbours; here they are exact.

    When it fails: the sign of s decides everything, and a model that knows the pool already gives high margins to rows
    it has nothing to learn from (choose another `score`, such as "el2n", for hard rows, which brings in wrong answers);
    g can grow with the scores of neighbours alone, so dense regions stay preferred where gamma_reverse is large.

    Attributes:
        score: A column, or a scorer's prefix and a kind of `derived`; high is chosen.
        neighbours: k.
        gamma_forward: How fast neighbours' scores fade with distance.
        gamma_reverse: How fast a chosen row's discount fades with distance.
        duplicates: "drop" all but one copy of each row, or "keep" them.
    """

    name: ClassVar[str] = "d2"
    paper: ClassVar[str] = "D2 pruning, arXiv 2310.07931"
    cost: ClassVar[Cost] = Cost(forwards=2)
    score: str = "margin"
    neighbours: int = 5
    gamma_forward: float = 1.0
    gamma_reverse: float = 0.4
    duplicates: Literal["drop", "keep"] = "drop"

    def scorers(self, models: Models) -> tuple[Scorer, ...]:
        """The statistics of answer tokens, and the last layer's hidden state at each row's last token."""
        from hf_select.embedding.hidden import HiddenEmbedding
        from hf_select.scoring.token_stats import TokenStats

        options = models.scoring(self.name)
        return TokenStats(**options), HiddenEmbedding.last(**options)

    def sampler(self) -> MessagePassingSampler:
        """The decision, once the columns are there."""
        from hf_select.sampling.message_passing import MessagePassingSampler

        return MessagePassingSampler(
            score=self.score,
            features="last_hidden",
            neighbours=self.neighbours,
            gamma_forward=self.gamma_forward,
            gamma_reverse=self.gamma_reverse,
            duplicates=self.duplicates,
        )
