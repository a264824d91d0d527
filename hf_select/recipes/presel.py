"""PreSel (arXiv 2503.07591): choose the images before the instructions exist."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from hf_select.errors import UnknownName, UsageError
from hf_select.pool.row import OK
from hf_select.recipes.recipe import Cost, Models, Recipe
from hf_select.recipes.tables import NO_TASK

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset

    from hf_select.sampling.budget import Budget
    from hf_select.sampling.centrality import CentralitySampler
    from hf_select.sampling.selection import Selection
    from hf_select.sampling.task_weights import TaskWeights
    from hf_select.scoring.scorer import Scorer

PRESETS = ("safe", "paper", "paper-vision-flan")
FORMS = {"turns": "irs", "joined": "irs_joined"}
"""How answers stand without their questions, and the derived score of each (`InstructionRelevance`)."""

REFERENCE = "reference"
"""Group and reason of the reference rows in a selection."""


@dataclass(frozen=True, kw_only=True)
class PreSel(Recipe):
    """Reference set, Instruction Relevance Score, task budgets, k-means in each task, the most central images.

    The method of arXiv 2503.07591 as its published scripts run it. Every row is an image with a task; instructions are
    needed for the reference set before, and for the chosen images after. With M tasks, IRS(I, Y) = loss(R | Q, I) /
    loss(R | I) over the reference rows, s_i its mean in task i, tau = 1 / sqrt(M):

        w_i = exp(-s_i / tau) / sum_k exp(-s_k / tau)          n_i = w_i x (budget - reference rows)

    Inside task i, k-means on the features of all its rows makes C_i = max(1, floor(0.01 |T_i|)) clusters; cluster c
    gives n_i |A_ic| / |A_i| of its rows outside the reference set, those nearest to their 5 nearest neighbours.

    The preset "paper" is the script for LLaVA, "paper-vision-flan" the one for Vision-Flan, "safe" (default) differs
    where they lose rows or take copies:

    | | safe | paper | paper-vision-flan |
    |---|---|---|---|
    | reference rows of a task | largest remainder, at least 1 | the same | the same |
    | no-question context | turn by turn | all answers joined in one turn | the same |
    | task quota | largest remainder, never above the task's rows, the rest redistributed | floor, the remainder to \
the largest weight | largest remainder, rest one by one |
    | what a task can't give | goes to other tasks by weight | drawn uniformly from the whole pool | the same |
    | near-duplicates in a cluster | at most one pick of each until the cluster is exhausted | taken as they are | \
taken as they are |
    | copies of an image | at most one | rows of their own | rows of their own |

    Used alone it chooses from tables that are made already; `run_presel` does the whole recipe.

    Attributes:
        preset: "safe", "paper" or "paper-vision-flan".
        reference_fraction: Share of the usable rows in the reference set, drawn in each task in proportion.
        form: "turns" or "joined", the no-question context of the IRS; None for the preset's.
        temperature: tau; None for 1 / sqrt(M).
        clusters: Clusters of a task, as a share of its rows (below 1) or a number.
        neighbours: How many nearest neighbours centrality looks at.
        duplicates: "drop" or "keep"; None for the preset's.
    """

    name: ClassVar[str] = "presel"
    paper: ClassVar[str] = "arXiv 2503.07591"
    cost: ClassVar[Cost] = Cost(forwards=0.1, encoders=("image",), tuned=0.05, instructions=False)

    preset: Literal["safe", "paper", "paper-vision-flan"] = "safe"
    reference_fraction: float = 0.05
    form: Literal["turns", "joined"] | None = None
    temperature: float | None = None
    clusters: float = 0.01
    neighbours: int = 5
    duplicates: Literal["drop", "keep"] | None = None

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise UnknownName("preset", self.preset, PRESETS)
        if not 0 < self.reference_fraction < 1:
            raise UsageError(
                f"reference_fraction is {self.reference_fraction}; it must lie between 0 and 1, such as 0.05."
            )
        safe = self.preset == "safe"
        if self.form is None:
            object.__setattr__(self, "form", "turns" if safe else "joined")
        if self.duplicates is None:
            object.__setattr__(self, "duplicates", "drop" if safe else "keep")
        if self.form not in FORMS:
            raise UnknownName("no-question form", self.form, FORMS)
        if self.temperature is not None and not (math.isfinite(self.temperature) and self.temperature > 0):
            raise UsageError(f"temperature is {self.temperature}; it must be a number above 0.")
        self._sampler({})  # Refuses its settings here, before instructions are paid for and models fitted.

    @property
    def score(self) -> str:
        """The derived score that holds the IRS in the chosen form."""
        return FORMS[self.form]

    def choose_reference(self, facts: Dataset | pa.Table, *, seed: int = 0) -> Selection:
        """Draw the reference set: `reference_fraction` of the rows, in every task in proportion and at least one.

        Where that many rows are fewer than the tasks, there is one for every task.

        Args:
            facts: Columns `row_key`, `row_task`, `row_status` of the whole pool, read through the view "images".
            seed: Decides the draw; the same rows come whatever the pool's order.
        """
        from hf_select.sampling.allocation import Allocation
        from hf_select.sampling.budget import Budget
        from hf_select.sampling.uniform import Uniform

        sampler = Uniform(
            stratify="row_task",
            stage=REFERENCE,
            duplicates=self.duplicates,
            allocation=Allocation(rounding="floor_min1"),
        )
        share = Budget(f"{self.reference_fraction * 100:.10g}%").rows(len(facts))
        return sampler.select(facts, Budget(max(share, len(usable_tasks(facts)))), seed=seed)

    def weigh_tasks(self, scored: Dataset | pa.Table, tasks: Sequence[str]) -> TaskWeights:
        """Compute the weights of `tasks` from the reference set's scores.

        Args:
            scored: The reference rows with the columns of `InstructionRelevance` in the form of `form`.
            tasks: Every task that has a usable row (`usable_tasks`); one without a reference row is an error.
        """
        from hf_select.sampling.derive import derived
        from hf_select.sampling.task_weights import task_weights

        known: dict[str, list[float]] = {task: [] for task in tasks}
        for task, value in zip(_column(scored, "row_task"), derived(scored, self.score).tolist(), strict=True):
            known.setdefault(NO_TASK if task is None else task, []).append(value)
        return task_weights(known, temperature=self.temperature)

    def select(
        self,
        embedded: Dataset | pa.Table,
        budget: Budget,
        *,
        weights: Mapping[str, float] | None = None,
        seed: int = 0,
        include: Sequence[str] = (),
    ) -> Selection:
        """Choose `budget` rows, the reference rows among them.

        Args:
            embedded: The pool's columns with those of `ImageEmbedding`.
            budget: What may be kept: the instructions that have to exist at the end.
            weights: Every task's weight; None computes them from the losses of the included rows.
            seed: Decides the k-means starts, and the draw that fills a shortfall in the paper presets.
            include: Row keys of the reference set; they come first.
        """
        if weights is None:
            weights = self._weights(embedded, include)
        return self._sampler(weights).select(embedded, budget, seed=seed, include=include)

    def scorers(self, models: Models) -> tuple[Scorer, ...]:
        """The picture vectors, and the losses of the IRS.

        Over a whole pool, as studies need them for other recipes too, those losses cost two forward passes a row;
        `run_presel` has them of the reference rows alone, the only ones that have instructions.
        """
        from hf_select.embedding.image import ImageEmbedding
        from hf_select.sampling.derive import KINDS
        from hf_select.scoring.answer_loss import AnswerLoss

        losses = AnswerLoss(contexts=KINDS[self.score], **models.scoring(self.name))
        return losses, ImageEmbedding(model=models.image_encoder, view=models.view, device=models.device)

    def _weights(self, scored: Dataset | pa.Table, reference: Sequence[str]) -> Mapping[str, float]:
        import pyarrow as pa

        from hf_select.sampling.keys import unique_keys

        if not reference:
            raise UsageError("PreSel weighs tasks by its reference rows: give `weights`, or those rows as `include`.")
        known = set(reference)
        table = scored if isinstance(scored, pa.Table) else scored.with_format("arrow")[:]
        mine = table.filter(pa.array([key in known for key in unique_keys(_column(table, "row_key"))]))
        return self.weigh_tasks(mine, usable_tasks(table)).weights

    def _sampler(self, weights: Mapping[str, float]) -> CentralitySampler:
        from hf_select.sampling.centrality import CentralitySampler

        return CentralitySampler(
            weights=dict(weights),
            clusters=self.clusters,
            neighbours=self.neighbours,
            preset=self.preset,
            duplicates=self.duplicates,
        )

    def describe(self) -> dict[str, Any]:
        """Return the method's entry of a recipe: its name, its paper, and every choice."""
        return {"name": self.name, "paper": self.paper, **asdict(self)}


def usable_tasks(facts: Dataset | pa.Table) -> list[str]:
    """Return the tasks that a picture can be chosen from, sorted; one of text alone, or of broken pictures, is none.

    Args:
        facts: Columns `row_task` and `row_status`.
    """
    statuses = zip(_column(facts, "row_task"), _column(facts, "row_status"), strict=True)
    return sorted({NO_TASK if task is None else task for task, status in statuses if status == OK})


def _column(table: Dataset | pa.Table, name: str) -> list[Any]:
    import pyarrow as pa

    return table[name].to_pylist() if isinstance(table, pa.Table) else list(table[name])
