"""Length, perplexity, EL2N and CLIP-Score against plain sorting of the numbers in their formulas."""

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_select.errors import UnknownName, UsageError
from hf_select.recipes.clip_score import ClipScore
from hf_select.recipes.el2n import EL2N
from hf_select.recipes.length import Length
from hf_select.recipes.perplexity import Perplexity
from hf_select.recipes.recipe import Models

RECIPES = [Length, Perplexity, EL2N, ClipScore]
LACKING = {4, 11, 17}


def pool(seed, n=40):
    """Rows in three tasks of unlike sizes; three lack every number, one of them as NaN."""
    rng = np.random.default_rng(seed)

    def numbers(values):
        return pa.array([None if at in LACKING else value for at, value in enumerate(values.tolist())])

    el2n = rng.uniform(0, math.sqrt(2), n).round(2)
    table = pa.table(
        {
            "row_key": [f"{at:05d}" for at in range(n)],
            "row_task": [f"t{min(at % 5, 2)}" for at in range(n)],
            "row_status": ["ok"] * n,
            "loss_full": numbers(rng.gamma(2, 4, n).round(1)),
            "tokens_full": numbers(rng.integers(1, 6, n)),
            "loss_status": ["truncated" if at in LACKING else "ok" for at in range(n)],
            "el2n": numbers(el2n),
            "clip_score": numbers(rng.normal(0.25, 0.05, n).round(2)),
        }
    )
    if n > 17:
        at = table.column_names.index("el2n")
        values = [math.nan if row == 4 else value for row, value in enumerate(table["el2n"].to_pylist())]
        table = table.set_column(at, "el2n", pa.array(values))
    return table


def plain_scores(recipe, rows):
    """The score of every row, None where there is none."""
    fact = {name: rows[name].to_pylist() for name in rows.column_names}
    values = []
    for at in range(len(rows)):
        if recipe is Perplexity:
            loss, tokens = fact["loss_full"][at], fact["tokens_full"][at]
            values.append(None if loss is None else math.exp(loss / tokens))
        else:
            value = fact[{Length: "tokens_full", EL2N: "el2n", ClipScore: "clip_score"}[recipe]][at]
            values.append(None if value is None or math.isnan(value) else value)
    return values


def plain_order(scores, keep, window=(0.0, 1.0)):
    """Rows of one group in the order in which they are taken."""
    known = [at for at, value in enumerate(scores) if value is not None]
    if keep == "top":
        return sorted(known, key=lambda at: (-scores[at], at))
    ranked = sorted(known, key=lambda at: (scores[at], at))
    if keep == "bottom":
        return ranked
    place = {at: (rank + 0.5) / len(ranked) for rank, at in enumerate(ranked)}
    inside = [at for at in ranked if window[0] <= place[at] <= window[1]]
    return sorted(inside, key=lambda at: (round(abs(place[at] - sum(window) / 2), 12), place[at]))


def picks(chosen):
    return [int(key) for key in chosen.keys]


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("keep", ["top", "middle", "bottom"])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_picks_are_the_sorted_rows(recipe, keep, seed):
    rows = pool(seed)
    chosen = recipe(keep=keep).select(rows, 11)
    assert picks(chosen) == plain_order(plain_scores(recipe, rows), keep)[:11]
    assert chosen.rejected in ({"truncated": 3}, {"no score": 3})


@pytest.mark.parametrize("recipe", RECIPES)
def test_without_being_asked_the_papers_part_is_kept(recipe):
    keep = "middle" if recipe is Perplexity else "top"
    rows = pool(7)
    assert recipe().select(rows, 9).keys == recipe(keep=keep).select(rows, 9).keys


def test_a_window_bounds_the_middle():
    rows = pool(3)
    window = [0.5, 0.9]
    chosen = Perplexity(window=window).select(rows, 37)
    expected = plain_order(plain_scores(Perplexity, rows), "middle", window)
    assert picks(chosen) == expected
    assert len(expected) < 37 and chosen.rejected["outside window"] == 37 - len(expected)


@pytest.mark.parametrize("recipe", RECIPES)
def test_each_task_gives_in_proportion_what_ranks_first_in_it(recipe):
    rows = pool(5)
    scores, tasks = plain_scores(recipe, rows), rows["row_task"].to_pylist()
    chosen = recipe(group="row_task", keep="top").select(rows, 12)
    sizes = {task: sum(t == task and s is not None for t, s in zip(tasks, scores, strict=True)) for task in set(tasks)}
    for quota in chosen.quotas:
        mine = [at for at in picks(chosen) if tasks[at] == quota.group]
        share = 12 * sizes[quota.group] / 37
        assert math.floor(share) <= len(mine) <= math.ceil(share)
        of_task = [score if task == quota.group else None for score, task in zip(scores, tasks, strict=True)]
        assert mine == plain_order(of_task, "top")[: len(mine)]


@pytest.mark.parametrize("recipe", RECIPES)
@settings(max_examples=12)
@given(seed=st.integers(0, 10_000), budget=st.integers(0, 45), group=st.sampled_from([None, "row_task"]))
def test_the_budget_is_exact_and_the_order_of_rows_changes_nothing(recipe, seed, budget, group):
    rows, rng = pool(seed), np.random.default_rng(seed)
    usable = [at for at in range(40) if at not in LACKING]
    include = [f"{at:05d}" for at in rng.choice(usable, min(3, budget), replace=False).tolist()]
    chosen = recipe(group=group).select(rows, budget, include=include)
    assert len(chosen) == len(set(chosen.keys)) == min(budget, 37)
    assert list(chosen.keys[: len(include)]) == include
    assert not LACKING & set(picks(chosen))
    assert sum(chosen.rejected.values()) == 3
    shuffled = recipe(group=group).select(rows.take(rng.permutation(40)), budget, include=include)
    assert shuffled.keys == chosen.keys


@pytest.mark.parametrize("recipe", RECIPES)
def test_copies_are_dropped_unless_kept(recipe):
    rows = pool(0, 4)
    twice = pa.concat_tables([rows, rows])
    assert len(recipe().select(twice, 8)) == 4
    assert len(recipe(duplicates="keep").select(twice, 8)) == 8


@pytest.mark.parametrize(
    ("choices", "error"),
    [
        ({"keep": "best"}, UnknownName),
        ({"duplicates": "some"}, UnknownName),
        ({"keep": "middle", "window": (0.9, 0.1)}, UsageError),
        ({"keep": "middle", "window": (0.1,)}, UsageError),
        ({"keep": "top", "window": (0.1, 0.9)}, UsageError),
    ],
)
def test_wrong_choices_are_refused_at_once(choices, error):
    with pytest.raises(error):
        EL2N(**choices)


def test_what_each_needs():
    models = Models(model="org/vlm", dual_encoder="org/clip", max_length=77)
    assert Perplexity().scorers(models)[0].contexts == ("full",)
    length = Length().scorers(models)[0]
    assert (length.model, length.max_length) == ("org/vlm", 77) and "tokens_full" in length.adds
    for recipe in (Length, Perplexity, EL2N):
        with pytest.raises(UsageError, match=recipe.name):
            recipe().scorers(Models())
    assert Length.cost.forwards == ClipScore.cost.forwards == 0 and ClipScore.cost.encoders == ("dual",)
    assert Perplexity().describe() | {"keep": "middle", "paper": "arXiv 2309.04564"} == Perplexity().describe()
