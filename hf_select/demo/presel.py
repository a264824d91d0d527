"""PreSel in the demo: it sees pictures and tasks, and the instructions of its own rows only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hf_select.demo.measure import Picked, held_out_scores, look_at

if TYPE_CHECKING:
    from hf_select.demo.pool import DemoPool
    from hf_select.recipes.pipeline import Source
    from hf_select.sampling.budget import Budget
    from hf_select.training.config import FitConfig


@dataclass(frozen=True)
class DemoPreSel:
    """PreSel's part of one seed: its model, scores by task, the subset, seconds by stage, instructions seen."""

    model: Path
    scores: dict[str, float]
    picked: Picked
    seconds: dict[str, float]
    instructions: int


def run_demo_presel(
    source: Source, out: Path, budget: Budget, fit: FitConfig, seed: int, model: Path, drawn: DemoPool
) -> DemoPreSel:
    """Run the recipe with the shipped model, its own vision tower as encoder, and answer the held-out questions.

    The pool has its instructions already, so they are hidden and taken from their column for the rows that PreSel asks
    for, as in the paper's experiments.
    """
    from hf_select.annotate.column import ColumnAnnotator
    from hf_select.embedding.image import ImageEmbedding
    from hf_select.recipes.pipeline import Pipeline
    from hf_select.recipes.presel import PreSel
    from hf_select.recipes.presel_run import Instructions, images_only, run_presel
    from hf_select.recipes.stages import RunFolder

    hidden = images_only(source)
    folder = RunFolder(out)
    pipeline = Pipeline(hidden, folder, device="cpu")
    encoder = ImageEmbedding(model=str(model), pool="mean", view=hidden.view, device="cpu")
    result = run_presel(
        pipeline,
        str(model),
        encoder,
        Instructions(annotator=ColumnAnnotator(view=source.view)),
        budget,
        method=PreSel(),
        fit=fit,
        seed=seed,
        score_dtype="float32",
        final_fit=True,
    )
    return DemoPreSel(
        result.final_model,
        held_out_scores(result.final_model, drawn.held_out()),
        look_at(result.selection, pipeline.pool, drawn, hidden.view),
        {record.name: record.seconds for record in folder.records()},
        result.instructions,
    )
