"""`hf-select run mllm_selector`: seed model, necessity of every row, grouped sampling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from hf_select.cli.command import option
from hf_select.cli.fit_options import fit_config
from hf_select.cli.recipe_options import RecipeOptions
from hf_select.cli.run_recipe import show_scored

if TYPE_CHECKING:
    from hf_select.cli.output import Output
    from hf_select.recipes.mllm_selector import MLLMSelector
    from hf_select.recipes.pipeline import Source


NECESSITIES = ("loss", "loss_sum", "perplexity", "ifd", "visual")


@dataclass(frozen=True, kw_only=True)
class MLLMSelectorOptions(RecipeOptions):
    """Flags of `hf-select run mllm_selector`."""

    recipe: ClassVar[str] = "mllm_selector"

    seed_fraction: float = option(0.05, help="share of the usable rows that tunes the seed model")
    necessity: str = option("loss", choices=NECESSITIES, help="the necessity score")
    groups: str = option("score_bins", help='"score_bins", or "column:NAME" such as column:row_task')
    bins: int = option(10, help="number of necessity bins")
    alpha: float = option(1.0, help="power of a bin's weight; 0 spreads the budget evenly over bins")
    within: str = option("uniform", choices=("uniform", "top"), help="how rows are taken inside a group")
    drop_top: float = option(0.0, help="share of the highest scores that is never drawn")
    include_seed: bool = option(True, help="count the seed rows inside the subset")
    duplicates: str = option("drop", choices=("drop", "keep"), help="what becomes of exact copies of a row")


def run_mllm_selector(options: MLLMSelectorOptions, out: Output) -> int:
    """Run the recipe; return the exit code."""
    from hf_select.recipes import mllm_selector
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
        result = mllm_selector.run_mllm_selector(
            options.pipeline(source, folder),
            options.model,
            budget,
            method=method,
            fit=fit,
            seed=options.seed,
            revision=options.revision,
            score_dtype=options.score_dtype,
            final_fit=options.final_fit,
        )
    show_scored(result, options, out, score=method.necessity)
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
