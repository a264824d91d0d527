"""`hf-select run`: a recipe from a pool to a chosen subset, in stages that resume."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_select.cli.command import Command, option
from hf_select.cli.fit_options import FitOptions, fit_config
from hf_select.cli.pool_options import POOL_HELP, PoolOptions
from hf_select.text import table

if TYPE_CHECKING:
    from hf_select.cli.output import Output
    from hf_select.recipes.mllm_selector import MLLMSelector
    from hf_select.recipes.pipeline import Source


NECESSITIES = ("loss", "loss_sum", "perplexity", "ifd", "visual")


@dataclass(frozen=True, kw_only=True)
class MLLMSelectorOptions(FitOptions, PoolOptions):
    """Flags of `hf-select run mllm_selector`."""

    pool: list[str] = option(help=POOL_HELP)
    model: str = option(help="Hub id or folder of the pretrained vision-language model")
    out: Path = option(help="folder of the run; the same command on it resumes")
    budget: str = option("15%", help='what may be kept: "15%", a number of rows, or "2M tokens"')
    revision: str | None = option(None, help="revision of the model")
    seed: int = option(0, help="decides the seed subset, the draws and the order of training")
    seed_fraction: float = option(0.05, help="share of the usable rows that tunes the seed model")
    necessity: str = option("loss", choices=NECESSITIES, help="the necessity score")
    groups: str = option("score_bins", help='"score_bins", or "column:NAME" such as column:row_task')
    bins: int = option(10, help="number of necessity bins")
    alpha: float = option(1.0, help="power of a bin's weight; 0 spreads the budget evenly over bins")
    within: str = option("uniform", choices=("uniform", "top"), help="how rows are taken inside a group")
    drop_top: float = option(0.0, help="share of the highest scores that is never drawn")
    include_seed: bool = option(True, help="count the seed rows inside the subset")
    duplicates: str = option("drop", choices=("drop", "keep"), help="what becomes of exact copies of a row")
    final_fit: bool = option(False, help="also tune the model on the chosen subset")
    score_dtype: str = option("auto", help="precision of scoring: auto, float32 or bfloat16")
    device: str | None = option(None, help="where models run: cpu, cuda, cuda:1, mps; default the best there is")
    shards: int | None = option(None, help="into how many shards scoring is cut; a kill costs at most one a process")
    num_proc: int | None = option(None, help="processes that share scoring on a CPU")


def run(options: MLLMSelectorOptions, out: Output) -> int:
    """Run the recipe; return the exit code."""
    from hf_select.recipes.mllm_selector import run_mllm_selector
    from hf_select.recipes.pipeline import Pipeline
    from hf_select.recipes.stages import RunFolder
    from hf_select.sampling.budget import Budget

    budget = Budget(options.budget)
    method = _method(options)
    source = options.source(options.pool)
    fit = fit_config(options, options.seed)
    folder = RunFolder(options.out, out.note)
    if out.dry_run:
        return _dry_run(options, source, budget, method, folder, out)
    with folder.claimed():
        result = run_mllm_selector(
            Pipeline(source, folder, device=options.device, shards=options.shards, num_proc=options.num_proc),
            options.model,
            budget,
            method=method,
            fit=fit,
            seed=options.seed,
            revision=options.revision,
            score_dtype=options.score_dtype,
            final_fit=options.final_fit,
        )
    rows = [
        [entry["task"], entry["rows"], entry["usable"], entry["picked"], f"{entry['share']:.1%}"]
        + [_number(entry["mean_score"]), _number(entry["mean_score_picked"])]
        for entry in result.tasks
    ]
    heads = ["task", "pool rows", "usable", "picked", "share", f"mean {method.necessity}", "of the picked"]
    total = len(result.selection)
    lines = [table(heads, rows), "", f"{total:,} rows of {sum(entry['rows'] for entry in result.tasks):,} ({budget})"]
    lines += [f"note: {note}" for note in result.selection.notes]
    lines += [f"subset: {result.subset}", f"seed model: {result.seed_model}"]
    if result.final_model is not None:
        lines.append(f"final model: {result.final_model}")
    data = {
        "rows": total,
        "subset": str(result.subset),
        "seed_model": str(result.seed_model),
        "final_model": None if result.final_model is None else str(result.final_model),
        "tasks": result.tasks,
        "notes": list(result.selection.notes),
        "rejected": dict(result.selection.rejected),
    }
    out.result(human="\n".join(lines), data=data, quiet=str(result.subset))
    return 0


def _method(options: MLLMSelectorOptions) -> MLLMSelector:
    from hf_select.recipes.mllm_selector import MLLMSelector

    return MLLMSelector(
        seed_fraction=options.seed_fraction,
        necessity=options.necessity,
        groups=options.groups,
        bins=options.bins,
        alpha=options.alpha,
        within=options.within,
        drop_top=options.drop_top,
        include_seed=options.include_seed,
        duplicates=options.duplicates,
    )


def _dry_run(
    options: MLLMSelectorOptions, source: Source, budget: Any, method: MLLMSelector, folder: Any, out: Output
) -> int:
    pool = source.read()
    rows = len(pool)
    plan = {
        "pool": source.name,
        "rows": rows,
        "seed_rows": round(method.seed_fraction * rows),
        "forward_passes": rows * len(method.contexts),
        "budget": str(budget),
        "out": str(options.out),
        "stages": {record.name: record.state for record in folder.records()},
    }
    lines = [
        f"pool {source.name}: {rows:,} rows",
        f"seed model: {options.model} tuned on about {plan['seed_rows']:,} rows, {options.fit_epochs:g} epochs",
        f"scoring: {plan['forward_passes']:,} forward passes ({', '.join(method.contexts)})",
        f"subset: {budget} into {options.out}; nothing was written",
    ]
    out.result(human="\n".join(lines), data=plan, quiet=str(options.out))
    return 0


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


COMMAND = Command(
    "run",
    "Run a recipe from a pool to a chosen subset, in stages that resume.",
    None,
    run,
    writes=True,
    variant_metavar="RECIPE",
    variants={
        "mllm_selector": ("seed model, necessity, grouped sampling (reading of arXiv 2503.20502)", MLLMSelectorOptions)
    },
    examples=(
        "hf-select run mllm_selector --pool org/vit-pool --model org/vlm-7b --budget 15% --out runs/a",
        "hf-select run mllm_selector --pool pool.jsonl --image-root images --model ./vlm --budget 1500 --out runs/b",
    ),
)
