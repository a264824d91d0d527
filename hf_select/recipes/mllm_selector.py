"""MLLM-Selector: a documented reading of arXiv 2503.20502.

The paper's full text was not open to us. **Known** (abstract and public summaries): a uniform random subset
fine-tunes the pretrained model into a *seed model*; the seed model gives every row of the pool a *necessity* score,
higher meaning that the row matters more; *necessity-based grouped sampling* then mixes necessity with diversity.
**Unknown**: the formula of the necessity score, how groups are formed and how many there are, the quota per group,
the size of the seed subset, whether seed rows belong to the final subset, and whether the final model starts from
the pretrained or from the seed model. Every unknown is a field of `MLLMSelector` with a default and its reason, so
that the paper's own choice is a change of configuration.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from hf_select.errors import UnknownName, UsageError
from hf_select.recipes.recipe import Cost, Models, Recipe
from hf_select.recipes.scored_run import ScoredRun, run_scored, seed_subset

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset

    from hf_select.recipes.pipeline import Pipeline
    from hf_select.sampling.budget import Budget
    from hf_select.sampling.selection import Selection
    from hf_select.scoring.scorer import Scorer
    from hf_select.training.config import FitConfig

Necessity = Literal["loss", "loss_sum", "perplexity", "ifd", "visual"]

CONTEXTS: dict[str, tuple[str, ...]] = {
    "loss": ("full",),
    "loss_sum": ("full",),
    "perplexity": ("full",),
    "ifd": ("full", "no_question"),
    "visual": ("full", "no_image"),
}
"""The contexts of `AnswerLoss` that each necessity score is computed from."""


@dataclass(frozen=True, kw_only=True)
class MLLMSelector(Recipe):
    """Seed subset, necessity under the seed model, necessity bins, grouped sampling: a reading of arXiv 2503.20502.

    Used alone it chooses from a table that is scored already; `run_mllm_selector` does the whole recipe.

    Attributes:
        seed_fraction: Share of the usable rows that tunes the seed model, drawn uniformly (the paper's size is
            unknown; PreSel, LESS and DICS use 5 %).
        necessity: The score, higher meaning more necessary: "loss" is the mean negative log-likelihood of the answer
            under the seed model in nats per token (default: the plainest measure of what the seed model has not
            learnt), "loss_sum" its sum, "perplexity" its exponential, "ifd" loss over loss without the question,
            "visual" loss without the image minus loss.
        groups: "score_bins" ranks rows by necessity (ties by row key) and cuts them into `bins` groups of equal count;
            "column:NAME" groups by a column such as "row_task".
        bins: Number of necessity bins.
        alpha: A bin's weight is its mean rank in [0, 1] to this power: 0 spreads the budget evenly, larger values
            prefer necessary rows. Pure top-k of a loss loses to random in every published table found, a draw inside
            loss strata is the known remedy, so the default is 1.
        within: "uniform" draws at random inside a group (where diversity comes from); "top" takes the highest scores.
        drop_top: Share of the highest scores that is never drawn (label noise lives there); 0 keeps all.
        include_seed: Whether the seed rows are part of the subset and count inside the budget; else they are kept out.
        duplicates: "drop" chooses at most one of the exact copies of a row, "keep" counts copies as rows.
    """

    name: ClassVar[str] = "mllm_selector"
    paper: ClassVar[str] = "reading of arXiv 2503.20502"
    cost: ClassVar[Cost] = Cost(forwards=1, tuned=0.05)

    seed_fraction: float = 0.05
    necessity: Necessity = "loss"
    groups: str = "score_bins"
    bins: int = 10
    alpha: float = 1.0
    within: Literal["uniform", "top"] = "uniform"
    drop_top: float = 0.0
    include_seed: bool = True
    duplicates: Literal["drop", "keep"] = "drop"

    def __post_init__(self) -> None:
        if not 0 < self.seed_fraction < 1:
            raise UsageError(f"seed_fraction is {self.seed_fraction}; it must lie between 0 and 1, such as 0.05.")
        if self.necessity not in CONTEXTS:
            raise UnknownName("necessity score", self.necessity, CONTEXTS)

    @property
    def contexts(self) -> tuple[str, ...]:
        """The contexts that `AnswerLoss` has to measure for this necessity score."""
        return CONTEXTS[self.necessity]

    def choose_seed(self, facts: Dataset | pa.Table, *, seed: int = 0) -> Selection:
        """Draw the seed subset I ~ Uniform(usable rows), |I| = round(seed_fraction x rows), half up.

        Args:
            facts: Columns `row_key`, `row_task`, `row_status` of the whole pool.
            seed: Decides the draw; the same rows come whatever the pool's order.
        """
        return seed_subset(facts, self.seed_fraction, seed=seed, duplicates=self.duplicates)

    def scorers(self, models: Models) -> tuple[Scorer, ...]:
        """The losses that the necessity score is computed from; `models.model` is the seed model."""
        from hf_select.scoring.answer_loss import AnswerLoss

        return (AnswerLoss(contexts=self.contexts, **models.scoring(self.name)),)

    def select(
        self,
        scored: Dataset | pa.Table,
        budget: Budget | str | int,
        *,
        seed: int = 0,
        include: Sequence[str] = (),
    ) -> Selection:
        """Choose `budget` rows by necessity-based grouped sampling.

        Args:
            scored: The pool's columns with those of `AnswerLoss` under the seed model.
            budget: What may be kept, seed rows inside it.
            seed: Decides the draws.
            include: Row keys of the seed subset; they come first, unless `include_seed` is off, when they are only
                kept out of the draw.
        """
        from hf_select.sampling.grouped import GroupedSampler

        sampler = GroupedSampler(
            score=self.necessity,
            groups=self.groups,
            bins=self.bins,
            alpha=self.alpha,
            within=self.within,
            drop_top=self.drop_top,
            duplicates=self.duplicates,
        )
        if self.include_seed:
            return sampler.select(scored, budget, seed=seed, include=include)
        return sampler.select(self._without(scored, include), budget, seed=seed)

    def _without(self, scored: Dataset | pa.Table, seed_rows: Sequence[str]) -> pa.Table:
        """Return the scored columns with the seed rows (and their copies, if copies are dropped) marked as such."""
        import pyarrow as pa

        from hf_select.sampling.keys import content_key, unique_keys

        table = scored if isinstance(scored, pa.Table) else scored.with_format("arrow")[:]
        keys = table["row_key"].to_pylist()
        if self.duplicates == "drop":
            taken = {content_key(key) for key in seed_rows}
        else:
            keys, taken = unique_keys(keys), set(seed_rows)
        status = [
            "seed" if key in taken else old for key, old in zip(keys, table["row_status"].to_pylist(), strict=True)
        ]
        return table.set_column(table.column_names.index("row_status"), "row_status", pa.array(status, pa.string()))


KNOWN = (
    "a uniform random subset tunes the seed model",
    "the seed model gives every row of the pool a necessity score, higher meaning more needed",
    "grouped sampling by necessity mixes necessity with diversity",
)
LIMITS = [
    "A wrong answer can look as necessary as a hard one: rows were not checked for label noise.",
    "Necessity is relative to one seed model and the few rows that tuned it; another seed gives other rows.",
    "Near-duplicates that are no exact copies count as different rows.",
]
"""What users of a subset should know; on its card."""

UNKNOWN = (
    "the formula of the necessity score",
    "how the groups are formed and how many there are",
    "the quota of each group",
    "the size of the seed subset and whether its rows belong to the final subset",
    "whether the final model starts from the pretrained or from the seed model (here: from the pretrained one)",
)


def run_mllm_selector(
    pipeline: Pipeline,
    model: str,
    budget: Budget,
    *,
    method: MLLMSelector,
    fit: FitConfig,
    seed: int = 0,
    revision: str | None = None,
    score_dtype: str = "auto",
    final_fit: bool = False,
) -> ScoredRun:
    """Run the recipe end to end; every stage is cached in the pipeline's folder and resumes alone.

    seed subset -> seed model -> necessity of every row -> grouped sampling -> subset folder [-> final model].

    Args:
        pipeline: The pool and the folder of the run.
        model: Hub id or folder of the pretrained vision-language model.
        budget: What may be kept; the seed rows count inside it.
        method: The reading's choices.
        fit: How the seed model (and the final model) is tuned.
        seed: Decides the seed subset, the draws and the order of training.
        revision: Revision of `model`.
        score_dtype: Precision of the scoring forward passes, as in `AnswerLoss`.
        final_fit: Whether to tune `model` on the chosen subset at the end.

    Cost: one fit on `seed_fraction` of the pool and one forward pass a row and context over the whole pool.
    """
    return run_scored(
        pipeline,
        method,
        budget,
        models=Models(model=model, max_length=fit.max_length, dtype=score_dtype),
        fit=fit,
        seed_fraction=method.seed_fraction,
        seed=seed,
        revision=revision,
        final_fit=final_fit,
        about={"known": KNOWN, "unknown": UNKNOWN, "limits": LIMITS},
    )
