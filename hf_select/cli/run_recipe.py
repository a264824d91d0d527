"""`hf-select run RECIPE` for every recipe that scores a pool and chooses from it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, fields, make_dataclass
from typing import TYPE_CHECKING, Any

from hf_select.cli.command import option
from hf_select.cli.fit_options import fit_config
from hf_select.cli.recipe_options import RecipeOptions, number
from hf_select.errors import UsageError
from hf_select.recipes.catalogue import RUNS_OF_THEIR_OWN, recipe, recipe_class, recipe_names
from hf_select.recipes.recipe import Models
from hf_select.text import table

if TYPE_CHECKING:
    from hf_select.cli.output import Output
    from hf_select.recipes.recipe import Recipe
    from hf_select.recipes.scored_run import ScoredRun
    from hf_select.recipes.stages import RunFolder

_EXPONENT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")
"""A number that YAML takes for text."""

_DEFAULTS = Models()


@dataclass(frozen=True, kw_only=True)
class ScoredOptions(RecipeOptions):
    """Flags of `hf-select run RECIPE`; `variants` makes one class a recipe."""

    set: list[str]
    model: str | None = option(None, help="Hub id or folder of the vision-language model that scores, or is tuned")
    seed_fraction: float = option(
        0.0, help="share of the pool that tunes a seed model to score with, inside the budget; 0 scores with --model"
    )
    image_encoder: str = option(_DEFAULTS.image_encoder, help="Hub id or folder, where the recipe looks at pictures")
    text_encoder: str = option(_DEFAULTS.text_encoder, help="Hub id or folder, where the recipe looks at questions")
    dual_encoder: str = option(_DEFAULTS.dual_encoder, help="Hub id or folder, where it looks at picture and text")

    @property
    def method(self) -> Recipe:
        """The recipe with the choices of `--set`."""
        return recipe(self.recipe, **read_choices(self.set))

    def models(self) -> Models:
        """The checkpoints that these flags name."""
        return Models(
            model=self.model,
            image_encoder=self.image_encoder,
            text_encoder=self.text_encoder,
            dual_encoder=self.dual_encoder,
            max_length=self.fit_max_length,
            dtype=self.score_dtype,
        )


def variants() -> dict[str, tuple[str, type[ScoredOptions]]]:
    """Recipe -> (one line, its options) of all that `run_recipe` runs."""
    names = [name for name in recipe_names() if name not in RUNS_OF_THEIR_OWN]
    return {name: (_line(name), _options_of(name)) for name in names}


def read_choices(given: list[str]) -> dict[str, Any]:
    """Read `KEY=VALUE` texts, each value a YAML scalar or a list of them.

    Raises:
        UsageError: A text without "=", a value that isn't YAML, or a key given twice.
    """
    import yaml

    choices: dict[str, Any] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise UsageError(f"--set {text} is no choice: give KEY=VALUE, such as --set group=row_task.")
        if key in choices:
            raise UsageError(f"--set gives {key} twice: give it once.")
        try:
            choices[key] = float(value) if _EXPONENT.fullmatch(value) else yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise UsageError(f"--set {text}: the value is not YAML ({' '.join(str(error).split())}).") from error
    return choices


def run_recipe(options: ScoredOptions, out: Output) -> int:
    """Run the recipe; return the exit code."""
    from hf_select.recipes.scored_run import run_scored
    from hf_select.recipes.stages import RunFolder
    from hf_select.sampling.budget import Budget

    budget, method = Budget(options.budget), options.method
    source = options.source(options.pool)
    fit = fit_config(options, options.seed)
    folder = RunFolder(options.out, out.note)
    if out.dry_run:
        return _dry_run(options, method, folder, out)
    with folder.claimed():
        result = run_scored(
            options.pipeline(source, folder),
            method,
            budget,
            models=options.models(),
            fit=fit,
            seed_fraction=options.seed_fraction,
            seed=options.seed,
            revision=options.revision,
            final_fit=options.final_fit,
        )
    show_scored(result, options, out)
    return 0


def show_scored(result: ScoredRun, options: RecipeOptions, out: Output, *, score: str | None = None) -> None:
    """Show what a run chose, task by task; `score` names the score in place of its column."""
    score = score or result.score
    heads, rows = ["task", "pool rows", "usable", "picked", "share"], []
    heads += [f"mean {score}", "of the picked"] if score else []
    for entry in result.tasks:
        row = [entry["task"], entry["rows"], entry["usable"], entry["picked"], f"{entry['share']:.1%}"]
        rows.append(row + ([number(entry["mean_score"]), number(entry["mean_score_picked"])] if score else []))
    total, pool_rows = len(result.selection), sum(entry["rows"] for entry in result.tasks)
    lines = [table(heads, rows), "", f"{total:,} rows of {pool_rows:,} ({options.budget})"]
    lines += [f"note: {note}" for note in result.selection.notes]
    lines.append(f"subset: {result.subset}")
    models = {"seed_model": result.seed_model, "final_model": result.final_model}
    lines += [f"{name.replace('_', ' ')}: {path}" for name, path in models.items() if path is not None]
    data = {
        "rows": total,
        "subset": str(result.subset),
        **{name: None if path is None else str(path) for name, path in models.items()},
        "tasks": result.tasks,
        "notes": list(result.selection.notes),
        "rejected": dict(result.selection.rejected),
    }
    out.result(human="\n".join(lines), data=data, quiet=str(result.subset))


def _dry_run(options: ScoredOptions, method: Recipe, folder: RunFolder, out: Output) -> int:
    from hf_select.recipes.scored_run import refuse_needless

    refuse_needless(method, options.models(), options.seed_fraction, options.final_fit)
    source = options.source(options.pool)
    rows = len(source.read())
    plan = {
        "pool": source.name,
        "rows": rows,
        "seed_rows": round(options.seed_fraction * rows),
        "forward_passes": round(method.cost.forwards * rows),
        "encoders": list(method.cost.encoders),
        "budget": options.budget,
        "out": str(options.out),
        "stages": {record.name: record.state for record in folder.records()},
    }
    lines = [f"pool {source.name}: {rows:,} rows", f"scoring: {method.cost.render()}"]
    if plan["seed_rows"]:
        lines.insert(1, f"seed model: {options.model} tuned on about {plan['seed_rows']:,} rows")
    lines.append(f"subset: {options.budget} into {options.out}; nothing was written")
    out.result(human="\n".join(lines), data=plan, quiet=str(options.out))
    return 0


def _line(name: str) -> str:
    return (recipe_class(name).__doc__ or name).split("\n")[0]


def _as_yaml(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def _options_of(name: str) -> type[ScoredOptions]:
    choices = " ".join(f"{choice.name}={_as_yaml(choice.default)}" for choice in fields(recipe_class(name)))
    flag = option([], help=f"the recipe's own choices, here with their defaults: {choices}", metavar="KEY=VALUE")
    return make_dataclass(
        "ScoredOptions",
        [("set", list[str], flag)],
        bases=(ScoredOptions,),
        frozen=True,
        kw_only=True,
        namespace={"recipe": name, "__module__": __name__},
    )
