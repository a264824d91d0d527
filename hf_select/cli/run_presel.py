"""`hf-select run presel`: the images first, then instructions for the chosen ones only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hf_select.cli.annotator_options import AnnotatorOptions
from hf_select.cli.command import option
from hf_select.cli.fit_options import fit_config
from hf_select.cli.recipe_options import RecipeOptions, number
from hf_select.text import table

if TYPE_CHECKING:
    from hf_select.cli.output import Output
    from hf_select.recipes.pipeline import Source
    from hf_select.recipes.presel import PreSel
    from hf_select.recipes.presel_run import Instructions, PreSelRun
    from hf_select.recipes.stages import RunFolder


@dataclass(frozen=True, kw_only=True)
class PreSelOptions(AnnotatorOptions, RecipeOptions):
    """Flags of `hf-select run presel`."""

    recipe: ClassVar[str] = "presel"

    encoder: str = option("facebook/dinov2-base", help="Hub id or folder of the image encoder")
    encoder_revision: str | None = option(None, help="revision of the encoder")
    encoder_pool: str = option("cls", choices=("cls", "mean"), help="which tokens of the encoder make the vector")
    encoder_layer: int = option(-1, help="which layer, counted from the end")
    preset: str = option(
        "safe",
        choices=("safe", "paper", "paper-vision-flan"),
        help="rounding, overflow and near-duplicates: ours, or as the published scripts do it",
    )
    reference_fraction: float = option(0.05, help="share of the usable rows in the reference set")
    form: str | None = option(None, choices=("turns", "joined"), help="no-question context of the IRS")
    temperature: float | None = option(None, help="tau of the task weights; default 1/sqrt(number of tasks)")
    clusters: float = option(0.01, help="clusters of a task: a share of its rows, or a number")
    neighbours: int = option(5, help="nearest neighbours that centrality looks at")
    duplicates: str | None = option(None, choices=("drop", "keep"), help="what becomes of copies of an image")


def run_presel(options: PreSelOptions, out: Output) -> int:
    """Run the recipe; return the exit code."""
    from hf_select.embedding.image import ImageEmbedding
    from hf_select.recipes import presel_run
    from hf_select.recipes.stages import RunFolder
    from hf_select.sampling.budget import Budget

    budget, method = Budget(options.budget), _method(options)
    fit = fit_config(options, options.seed)
    shown = options.source(options.pool)
    source = presel_run.images_only(shown)
    instructions = presel_run.Instructions(
        annotator=options.made_annotator(shown.view, options.device),
        prompts=options.made_prompts(),
        rates=options.rates(),
        max_cost=options.max_cost,
    )
    folder = RunFolder(options.out, out.note)
    if out.dry_run:
        return _dry_run(options, source, method, instructions, folder, out)
    encoder = ImageEmbedding(
        model=options.encoder,
        revision=options.encoder_revision,
        pool=options.encoder_pool,
        layer=options.encoder_layer,
        view=source.view,
        device=options.device,
    )
    with folder.claimed():
        result = presel_run.run_presel(
            options.pipeline(source, folder),
            options.model,
            encoder,
            instructions,
            budget,
            method=method,
            fit=fit,
            seed=options.seed,
            revision=options.revision,
            score_dtype=options.score_dtype,
            final_fit=options.final_fit,
        )
    _show(result, options, out)
    return 0


def _show(result: PreSelRun, options: PreSelOptions, out: Output) -> None:
    rows = [
        [entry["task"], entry["rows"], entry["usable"], entry["reference"], number(entry["irs"])]
        + [f"{entry['weight']:.1%}", f"{entry['quota']:.1f}", entry["picked"], f"{entry['share']:.1%}"]
        for entry in result.tasks
    ]
    heads = ["task", "pool rows", "usable", "reference", "IRS", "weight", "quota", "picked", "share"]
    total, pool_rows = len(result.selection), sum(entry["rows"] for entry in result.tasks)
    required = f"required instructions: {result.instructions:,} ({result.instructions / pool_rows:.1%} of the rows)"
    lines = [table(heads, rows), "", f"{total:,} rows of {pool_rows:,} ({options.budget}), reference rows among them"]
    lines += [required, *(f"note: {note}" for note in result.selection.notes)]
    lines += [f"subset: {result.subset}", f"reference model: {result.reference_model}"]
    if result.final_model is not None:
        lines.append(f"final model: {result.final_model}")
    data = {
        "rows": total,
        "required_instructions": result.instructions,
        "subset": str(result.subset),
        "reference_model": str(result.reference_model),
        "final_model": None if result.final_model is None else str(result.final_model),
        "tasks": result.tasks,
        "notes": list(result.selection.notes),
        "rejected": dict(result.selection.rejected),
    }
    out.result(human="\n".join(lines), data=data, quiet=str(result.subset))


def _method(options: PreSelOptions) -> PreSel:
    from hf_select.recipes.presel import PreSel

    return PreSel(
        preset=options.preset,
        reference_fraction=options.reference_fraction,
        form=options.form,
        temperature=options.temperature,
        clusters=options.clusters,
        neighbours=options.neighbours,
        duplicates=options.duplicates,
    )


def _dry_run(
    options: PreSelOptions, source: Source, method: PreSel, instructions: Instructions, folder: RunFolder, out: Output
) -> int:
    from hf_select.annotate.cost import ANSWER_TOKENS, IMAGE_TOKENS
    from hf_select.sampling.budget import Budget

    rows = len(source.read())
    reference, wanted = round(method.reference_fraction * rows), Budget(options.budget).rows(rows)
    cost = instructions.rates.cost(wanted * IMAGE_TOKENS, wanted * ANSWER_TOKENS)
    plan = {
        "pool": source.name,
        "rows": rows,
        "reference_rows": reference,
        "required_instructions": wanted,
        "cost": cost,
        "out": str(options.out),
        "stages": {record.name: record.state for record in folder.records()},
    }
    lines = [
        f"pool {source.name}: {rows:,} rows",
        f"reference model: {options.model} tuned on about {reference:,} rows, {options.fit_epochs:g} epochs",
        f"scoring: {2 * reference:,} forward passes",
        f"features: {rows:,} pictures by {options.encoder}",
        f"instructions: about {wanted:,} by {options.annotator}, roughly {cost:.2f} at these prices",
        f"subset: {options.budget} into {options.out}; nothing was written",
    ]
    out.result(human="\n".join(lines), data=plan, quiet=str(options.out))
    return 0
