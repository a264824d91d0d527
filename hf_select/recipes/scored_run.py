"""A whole run of any recipe that scores a pool and chooses from it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hf_select.errors import UsageError
from hf_select.recipes.pipeline import Pipeline
from hf_select.recipes.tables import scorer_entry, task_table

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset

    from hf_select.recipes.recipe import Models, Recipe
    from hf_select.sampling.budget import Budget
    from hf_select.sampling.selection import Selection
    from hf_select.scoring.scorer import Scorer
    from hf_select.training.config import FitConfig

FAILS = "When it fails:"
"""How the paragraph of a recipe's docstring begins that its cards quote."""


@dataclass(frozen=True)
class ScoredRun:
    """What a run gave.

    Attributes:
        selection: The chosen rows, seed rows first.
        subset: The folder that `load_dataset` reads.
        seed_model: The checkpoint that was tuned to score, or None where the given one did.
        final_model: The checkpoint tuned on the subset, or None if that was not asked for.
        score: What the sampler ranked by, or None where it is no column.
        tasks: One entry a task: pool rows, usable rows, picked rows, mean score.
    """

    selection: Selection
    subset: Path
    seed_model: Path | None
    final_model: Path | None
    score: str | None
    tasks: list[dict[str, Any]]


def seed_subset(
    facts: Dataset | pa.Table, fraction: float, *, seed: int = 0, duplicates: Literal["drop", "keep"] = "drop"
) -> Selection:
    """Draw the rows that tune a seed model: I ~ Uniform(usable rows), |I| = round(fraction x rows), half up.

    Args:
        facts: Columns `row_key`, `row_task`, `row_status` of the whole pool.
        fraction: Share of the pool's rows, above 0 and below 1.
        seed: Decides the draw; the same rows come whatever the pool's order.
        duplicates: Whether exact copies are rows of their own.
    """
    from hf_select.sampling.budget import Budget
    from hf_select.sampling.uniform import Uniform

    return Uniform(stage="seed", duplicates=duplicates).select(facts, Budget(f"{fraction * 100:.10g}%"), seed=seed)


def run_scored(
    pipeline: Pipeline,
    recipe: Recipe,
    budget: Budget,
    *,
    models: Models,
    fit: FitConfig,
    seed_fraction: float = 0.0,
    seed: int = 0,
    revision: str | None = None,
    final_fit: bool = False,
    about: Mapping[str, Any] | None = None,
) -> ScoredRun:
    """Run the recipe end to end; every stage is cached in the pipeline's folder and resumes alone.

    check [-> seed subset -> seed model] -> one stage a scorer -> choice -> subset folder [-> final model].

    Args:
        pipeline: The pool and the folder of the run.
        recipe: What to choose by.
        budget: What may be kept; the seed rows count inside it.
        models: What to score with; `model` is tuned first where there is a seed subset. The pipeline's own view and
            device are used.
        fit: How the seed model (and the final model) is tuned.
        seed_fraction: Share of the pool that tunes the seed model; 0 scores with the model as it is.
        seed: Decides the seed subset, the draws and the order of training.
        revision: Revision of `models.model`.
        final_fit: Whether to tune `models.model` on the chosen subset at the end.
        about: Further values of the subset's card.

    Raises:
        UsageError: A model is missing, a seed model is asked for that nothing would look at, or the seed rows alone
            exceed the budget (said before anything is tuned).

    Cost: that of the recipe (`recipe.cost`), and one fit on `seed_fraction` of the pool.
    """
    refuse_needless(recipe, models, seed_fraction, final_fit)
    models = replace(models, view=pipeline.source.view, device=pipeline.device)
    facts = pipeline.check()
    given, seed_model, keys = models, None, []
    if seed_fraction > 0:
        copies = recipe.describe()["duplicates"]
        inputs = {"seed_fraction": seed_fraction, "seed": seed, "duplicates": copies}
        chosen = pipeline.choose(
            "seed", inputs, lambda: seed_subset(facts, seed_fraction, seed=seed, duplicates=copies)
        )
        keys = list(chosen.keys)
        _refuse_too_many(keys, budget, len(facts))
        seed_model = pipeline.fit("seed", models.vlm(recipe.name), revision, chosen, fit)
        given = replace(models, model=str(seed_model))
    scorers = scorers_of(recipe, given, None if seed_model else revision, budget)
    scored = pipeline.score("score", *scorers) if scorers else facts
    choices = {"method": recipe.describe(), "budget": str(budget), "seed": seed, "seed_rows": keys}
    picked = pipeline.choose(
        "select",
        choices | {"scorers": [scorer.identity() for scorer in scorers]},
        lambda: recipe.select(scored, budget, seed=seed, include=keys),
    )
    score = dict(picked.recipe["settings"]).get("score")
    tasks = task_table(scored, picked, score)
    looked_at = any(scorer.model == given.model for scorer in scorers)
    told = {
        "pool": pipeline.source.name,
        "pool_revision": pipeline.pool_revision,
        "method": recipe.describe(),
        "model": _shown(models.vlm(recipe.name)) if looked_at else "",
        "seed_model": seed_model is not None,
        "budget": str(budget),
        "seed": seed,
        "tasks": tasks,
        "pool_rows": len(scored),
        "limits": limits_of(recipe),
    }
    told |= {"scorers": [scorer_entry(scorer) for scorer in scorers]} if scorers else {}
    told |= dict(about or {}) | pipeline.about
    subset = pipeline.save("subset", picked, told, scored="score" if scorers else "facts")
    final_model = pipeline.fit("final", models.vlm("the final fit"), revision, picked, fit) if final_fit else None
    return ScoredRun(picked, pipeline.path / subset.summary["path"], seed_model, final_model, score, tasks)


def limits_of(recipe: Recipe) -> list[str]:
    """What a recipe's docstring says of when it fails, for the card of what it chose."""
    paragraphs = (inspect.getdoc(type(recipe)) or "").split("\n\n")
    return [" ".join(text.split()) for text in paragraphs if text.startswith(FAILS)]


def scorers_of(recipe: Recipe, models: Models, revision: str | None, budget: Budget) -> tuple[Scorer, ...]:
    """The recipe's scorers, through the pool's view and of the model's revision; a token count for such a budget."""
    from hf_select.scoring.token_count import TokenCount

    scorers = recipe.scorers(models)
    if budget.kind == "tokens" and not any("n_tokens" in scorer.adds for scorer in scorers):
        scorers = (*scorers, TokenCount(model=models.vlm("a budget in tokens")))
    return tuple(
        replace(scorer, view=models.view, **({"revision": revision} if scorer.model == models.model else {}))
        for scorer in scorers
    )


def refuse_needless(recipe: Recipe, models: Models, seed_fraction: float, final_fit: bool) -> None:
    """Raise `UsageError` where a run of these can't work or would tune a model that nothing looks at."""
    if not 0 <= seed_fraction < 1:
        raise UsageError(f"seed_fraction is {seed_fraction}; it must lie between 0 and 1, such as 0.05, or be 0.")
    if seed_fraction > 0 and not recipe.cost.forwards:
        raise UsageError(f"{recipe.name} looks at no seed model: leave the seed fraction at 0.")
    if final_fit and models.model is None:
        raise UsageError("a final fit tunes a vision-language model: give its Hub id or folder.")


def _refuse_too_many(keys: list[str], budget: Budget, rows: int) -> None:
    if budget.kind != "tokens" and len(keys) > budget.rows(rows):
        raise UsageError(
            f"the {len(keys)} rows that tune the seed model are more than the budget of {budget.rows(rows)}: raise the"
            " budget or lower the seed fraction."
        )


def _shown(model: str) -> str:
    return Path(model).name if Path(model).exists() else model
