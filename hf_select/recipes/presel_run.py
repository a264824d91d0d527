"""The whole PreSel recipe: images in, the chosen images with their instructions out, in stages that resume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from hf_select.annotate.cost import Rates
from hf_select.annotate.prompts import Prompts
from hf_select.errors import HFSelectError
from hf_select.pool.row import OK
from hf_select.pool.view import PoolView
from hf_select.recipes.pipeline import Pipeline, Source
from hf_select.recipes.presel import REFERENCE, PreSel, usable_tasks
from hf_select.recipes.stages import digest
from hf_select.recipes.tables import presel_table, scorer_entry

if TYPE_CHECKING:
    from datasets import Dataset

    from hf_select.annotate.annotate import Annotated
    from hf_select.annotate.annotator import Annotator
    from hf_select.embedding.image import ImageEmbedding
    from hf_select.sampling.budget import Budget
    from hf_select.sampling.selection import Selection
    from hf_select.training.config import FitConfig

IMAGES = "images"
"""The schema that shows a row's pictures and task and nothing else: what PreSel may look at before it has chosen."""

LIMITS = [
    "Images were chosen by how close they lie to others: rare ones are rare here too.",
    "A task's budget rests on the mean score of its few reference rows.",
    "Generated instructions were parsed, not checked for truth.",
]
"""What users of a subset should know; on its card."""


@dataclass(frozen=True, kw_only=True)
class Instructions:
    """Where instructions come from: who writes them, by which prompts, for how much.

    Attributes:
        annotator: An endpoint, a local model, or the pool's own column.
        prompts: The prompt of every task.
        rates: Prices of tokens.
        max_cost: Ask for nothing more when the answers have cost so much.
    """

    annotator: Annotator
    prompts: Prompts = field(default_factory=Prompts)
    rates: Rates = field(default_factory=Rates)
    max_cost: float | None = None


@dataclass(frozen=True)
class PreSelRun:
    """What `run_presel` made: the selection, its folder on disk, the models, and the per-task table."""

    selection: Selection
    subset: Path
    reference_model: Path
    final_model: Path | None
    tasks: list[dict[str, Any]]
    instructions: int


def images_only(source: Source) -> Source:
    """Return `source` read as pictures and tasks: no instruction of the pool can be seen through it."""
    return replace(source, view=replace(source.view, schema=IMAGES))


def run_presel(
    pipeline: Pipeline,
    model: str,
    encoder: ImageEmbedding,
    instructions: Instructions,
    budget: Budget,
    *,
    method: PreSel,
    fit: FitConfig,
    seed: int = 0,
    revision: str | None = None,
    score_dtype: str = "auto",
    final_fit: bool = False,
) -> PreSelRun:
    """Run the recipe end to end; every stage is cached in the pipeline's folder and resumes alone.

    reference set -> its instructions -> reference model -> IRS -> task weights -> features -> k-means, quotas,
    centrality -> instructions of the picks -> subset folder [-> final model].

    Args:
        pipeline: The pool read by `images_only`, and the folder of the run.
        model: Hub id or folder of the pretrained vision-language model.
        encoder: The image features, DINOv2-base in the paper.
        instructions: Who writes them.
        budget: What may be kept; it is also how many instructions have to be written, reference set included.
        method: The method's choices.
        fit: How the reference model (and the final model) is tuned.
        seed: Decides the reference set, the k-means starts and the order of training.
        revision: Revision of `model`.
        score_dtype: Precision of the scoring forward passes, as in `AnswerLoss`.
        final_fit: Whether to tune `model` on the chosen subset at the end.

    Cost: instructions for the budget; one fit on `reference_fraction` of the pool and two forward passes over the same
    rows; one pass of the encoder over the pool.
    """
    from hf_select.scoring.instruction_relevance import InstructionRelevance

    facts = pipeline.check()
    reference = pipeline.choose(
        REFERENCE, {"method": method.describe(), "seed": seed}, lambda: method.choose_reference(facts, seed=seed)
    )
    taught, _ = _instructed(pipeline, REFERENCE, reference, instructions)
    reference_model = taught.fit(REFERENCE, model, revision, None, fit)
    scorer = InstructionRelevance(
        model=str(reference_model),
        form=method.form,
        max_length=fit.max_length,
        dtype=score_dtype,
        view=taught.source.view,
        device=pipeline.device,
    )
    scored = taught.score("irs", scorer)
    weights = method.weigh_tasks(scored, usable_tasks(facts))
    embedded = pipeline.score("embed", encoder)
    keys = list(reference.keys)
    choices = {"method": method.describe(), "budget": str(budget), "seed": seed, "encoder": encoder.identity()}
    picked = pipeline.choose(
        "select",
        choices | {"reference": keys, "weights": weights.weights},
        lambda: method.select(embedded, budget, weights=weights.weights, seed=seed, include=keys),
    )
    ready, kept = _instructed(pipeline, "picks", picked, instructions)
    ready = ready.over(_flagged(ready.pool, keys), ready.source.view)
    tasks = presel_table(facts, kept, reference, weights)
    about = {
        "pool": pipeline.source.name,
        "pool_revision": pipeline.pool_revision,
        "method": method.describe(),
        "model": Path(model).name if Path(model).exists() else model,
        "budget": str(budget),
        "seed": seed,
        "tasks": tasks,
        "pool_rows": len(facts),
        "required_instructions": len(picked),
        "reference_rows": len(reference),
        "scorers": [scorer_entry(scorer), scorer_entry(encoder)],
        "limits": LIMITS,
        "generated": instructions.annotator.identity()["annotator"] != "column",
    } | pipeline.about
    subset = pipeline.save("subset", kept, about, scored="embed", rows=ready.pool)
    final_model = ready.fit("final", model, revision, None, fit) if final_fit else None
    return PreSelRun(kept, pipeline.path / subset.summary["path"], reference_model, final_model, tasks, len(picked))


def _instructed(
    pipeline: Pipeline, name: str, rows: Selection, instructions: Instructions
) -> tuple[Pipeline, Selection]:
    """Have instructions written for `rows`; return a pipeline over those that have them now, and their selection.

    Answers of all stages lie in one journal, so those of the reference set are not asked for again with the picks.
    """
    from hf_select.annotate.annotate import annotate

    made: list[Annotated] = []

    def asked() -> Annotated:
        return annotate(
            pipeline.pool,
            rows,
            instructions.annotator,
            pipeline.path / "instructions",
            view=pipeline.source.view,
            prompts=instructions.prompts,
            rates=instructions.rates,
            max_cost=instructions.max_cost,
        )

    def work() -> dict[str, Any]:
        made.append(asked())
        return made[0].summary()

    inputs = {
        "rows": list(rows.keys),
        "annotator": instructions.annotator.identity(),
        "prompts": [dict(instructions.prompts.texts), dict(instructions.prompts.tasks)],
    }
    pipeline.folder.stage(f"annotate-{name}", pipeline.pool_identity() | inputs, work)
    annotated = made[0] if made else asked()
    ready, kept = annotated.ready, _with_instructions(rows, annotated)
    if len(kept) == 0:
        raise HFSelectError(
            f"none of the {len(rows)} rows has an instruction: see {pipeline.path / 'instructions'} for the reasons."
        )
    return pipeline.over(ready, PoolView(task_field="task")), kept


def _flagged(rows: Dataset, reference: Sequence[str]) -> Dataset:
    """Add the column `is_reference`."""
    from datasets import Dataset

    from hf_select.scoring.attach import attach

    known = set(reference)
    flags = Dataset.from_dict({"is_reference": [key in known for key in rows["pool_key"]]})
    flagged = attach(rows, flags)
    flagged._fingerprint = digest({"rows": rows._fingerprint, "reference": sorted(known)})
    return flagged


def _with_instructions(rows: Selection, annotated: Annotated) -> Selection:
    """The selection without the rows for which no instruction came; they are counted by their status."""
    lost = {status: count for status, count in annotated.statuses.items() if status != OK}
    if not lost:
        return rows
    keys = set(annotated.ok_keys)
    kept = rows.table.filter(pa.array([key in keys for key in rows.keys]))
    kept = kept.set_column(kept.column_names.index("rank"), "rank", pa.array(range(len(kept)), pa.int64()))
    note = f"{sum(lost.values())} chosen rows have no instruction and are left out"
    rejected = dict(rows.rejected) | {f"instruction {status}": count for status, count in lost.items()}
    return replace(rows, table=kept, notes=(*rows.notes, note), rejected=rejected)
