"""Differences to random over seeds: what is paired with what, how wide the intervals are, what is left out."""

import dataclasses

import numpy as np
import pytest
from eval_reports import report
from study_runs import fit, scores, small_study

from hf_select.errors import UsageError
from hf_select.evaluation.study_differences import differences


def by_recipe(runs):
    return {entry.recipe: entry for entry in differences(runs)}


def pairs(mine, theirs):
    """A study of one recipe: task -> scores for each seed, and the baseline's."""
    sides = (("mine", mine), ("random", theirs))
    return [fit(recipe, told, seed=seed) for recipe, side in sides for seed, told in enumerate(side)]


def plain_interval(mine, theirs, draws=1500, level=0.95):
    """The same in plain loops: draw seeds once for both sides and all tasks, and each task's documents once."""
    rng = np.random.default_rng(99)
    drawn = []
    for _ in range(draws):
        seeds = rng.integers(0, len(mine), len(mine)) if len(mine) > 1 else [0]
        of_tasks = []
        for task in mine[0]:
            documents = rng.integers(0, len(mine[0][task]), len(mine[0][task]))
            gaps = [mine[s][task][d] - theirs[s][task][d] for s in seeds for d in documents]
            of_tasks.append(100 * sum(gaps) / len(gaps))
        drawn.append(sum(of_tasks) / len(of_tasks))
    return np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])


def test_the_interval_is_that_of_plain_loops_over_seeds_and_documents():
    rng = np.random.default_rng(5)
    theirs = [{"a": rng.random(30).tolist(), "b": rng.random(12).tolist()} for _ in range(4)]
    shift = [0.05, 0.2, 0.1, -0.1]
    mine = [
        {task: (np.array(values) + by + rng.normal(0, 0.2, len(values))).tolist() for task, values in side.items()}
        for side, by in zip(theirs, shift, strict=True)
    ]
    mean = by_recipe(pairs(mine, theirs))["mine"].mean
    per_seed = [np.mean([100 * (np.mean(m[t]) - np.mean(o[t])) for t in m]) for m, o in zip(mine, theirs, strict=True)]
    assert mean.difference == pytest.approx(np.mean(per_seed))
    assert mean.difference == pytest.approx(mean.model - mean.baseline)
    assert (mean.low, mean.high) == pytest.approx(tuple(plain_interval(mine, theirs)), abs=1)


def test_what_moves_a_seed_on_both_sides_moves_no_difference():
    theirs = [{"a": scores(p, 80, seed=1)} for p in (0.2, 0.5, 0.8)]
    mine = [{"a": [min(1.0, v + 0.1) if v < 1 else v + 0.1 for v in side["a"]]} for side in theirs]
    mean = by_recipe(pairs(mine, theirs))["mine"].mean
    assert (mean.difference, mean.low, mean.high) == pytest.approx((10, 10, 10))


def test_seeds_are_drawn_for_all_tasks_at_once():
    # A seed that is good is good on both tasks: two tasks tell no more than one.
    up = [0.0, 0.1, 0.2, 0.3]
    theirs = [{"a": [0.0] * 5, "b": [0.0] * 5} for _ in up]
    mine = [{"a": [by] * 5, "b": [by] * 5} for by in up]
    one, other, mean = by_recipe(pairs(mine, theirs))["mine"].tasks
    for alone in (one, other):
        assert (mean.low, mean.high) == pytest.approx((alone.low, alone.high))


def test_seeds_that_disagree_widen_the_interval():
    theirs = [{"a": [0.5] * 40}] * 4
    agree = by_recipe(pairs([{"a": [0.6] * 40}] * 4, theirs))["mine"]
    differ = by_recipe(pairs([{"a": [0.5 + by] * 40} for by in (-0.1, 0.1, 0.1, 0.3)], theirs))["mine"]
    assert agree.mean.low == pytest.approx(agree.mean.high) == pytest.approx(10)
    assert differ.mean.difference == pytest.approx(10)
    assert differ.mean.low < 0 < differ.mean.high
    assert differ.seed_gaps == pytest.approx((-10, 10, 10, 30))
    assert differ.over_seeds == pytest.approx((10 - 3.182 * 16.3299 / 2, 10 + 3.182 * 16.3299 / 2), abs=1e-3)


def test_one_seed_draws_documents_alone():
    mine, theirs = {"a": scores(0.7, 200, seed=1)}, {"a": scores(0.5, 200, seed=2)}
    entry = by_recipe(pairs([mine], [theirs]))["mine"]
    gaps = np.array(mine["a"]) - np.array(theirs["a"])
    half = 196 * gaps.std(ddof=1) / np.sqrt(200)
    assert entry.over_seeds is None
    assert (entry.mean.low, entry.mean.high) == pytest.approx(
        (100 * gaps.mean() - half, 100 * gaps.mean() + half), abs=1
    )
    assert entry.mean.wins == (gaps > 0).sum() and entry.mean.losses == (gaps < 0).sum() and entry.mean.n == 200


def test_many_comparisons_widen_only_the_adjusted_interval():
    few, many = (by_recipe(small_study(recipes))["good"] for recipes in (("good",), ("good", "bad", *"cdefgh")))
    assert (few.compared, many.compared) == (1, 8)
    assert few.mean == many.mean
    assert few.adjusted == (few.mean.low, few.mean.high)
    assert many.adjusted[0] < many.mean.low and many.adjusted[1] > many.mean.high


def test_seeds_of_one_side_only_are_left_out_and_counted():
    runs = [run for run in small_study() if (run.recipe, run.seed) not in (("good", 0), ("random", 2))]
    entries = by_recipe(runs)
    assert (entries["good"].seeds, entries["good"].left_out) == ((1,), (0, 2))
    assert (entries["bad"].seeds, entries["bad"].left_out) == ((0, 1), (2,))
    assert set(by_recipe([run for run in small_study() if run.recipe != "random"])) == set()


def test_the_baseline_differs_from_itself_by_nothing_and_the_ends_have_no_entry():
    entries = by_recipe(small_study())
    assert set(entries) == {"random", "good", "bad"}
    own = entries["random"].mean
    assert (own.difference, own.low, own.high, own.wins) == (0, 0, 0, 0)
    assert entries["good"].mean.low > 0 > entries["bad"].mean.high


def test_pools_budgets_and_models_are_compared_with_their_own_random():
    runs = small_study(pools=("plain", "dirty"), budgets=("10%", "20%"))
    runs += [dataclasses.replace(run, model="large") for run in runs]
    entries = differences(runs)
    assert len(entries) == 2 * 2 * 2 * 3
    assert {entry.compared for entry in entries} == {2}


def test_numbers_do_not_depend_on_the_order_of_fits():
    runs = small_study()
    again = by_recipe(runs[::-1])
    for recipe, entry in by_recipe(runs).items():
        assert {t.task: t for t in again[recipe].tasks[:-1]} == {t.task: t for t in entry.tasks[:-1]}
        assert again[recipe].mean.low == pytest.approx(entry.mean.low)


def test_a_metric_that_is_no_mean_of_documents_has_no_interval_but_a_seed_count():
    runs = small_study()
    for at, run in enumerate(runs):
        tasks = (dataclasses.replace(run.report.tasks[0], value=0.123), *run.report.tasks[1:])
        runs[at] = dataclasses.replace(run, report=dataclasses.replace(run.report, tasks=tasks))
    entry = by_recipe(runs)["good"]
    assert entry.tasks[0].low is None and entry.mean.low is None and entry.adjusted is None
    assert entry.tasks[1].low is not None
    assert entry.over_seeds is not None and len(entry.seed_gaps) == 3


def test_equal_documents_of_a_task_are_each_counted():
    runs = small_study()
    for at, run in enumerate(runs):
        names = ["same" if i < 5 else f"d{i}" for i in range(run.report.samples.num_rows)]
        column = run.report.samples.schema.get_field_index("document")
        samples = run.report.samples.set_column(column, "document", [names])
        runs[at] = dataclasses.replace(run, report=dataclasses.replace(run.report, samples=samples))
    same, apart = (by_recipe(of)["good"].mean for of in (runs, small_study()))
    assert (same.low, same.high, same.n) == pytest.approx((apart.low, apart.high, apart.n))


def test_a_task_that_some_fit_lacks_is_left_out_of_all():
    runs = small_study()
    lacking = fit("good", {"a": scores(0.9)}, seed=7)
    entries = by_recipe([*runs, lacking, fit("random", {"a": scores(0.5), "b": scores(0.5)}, seed=7)])
    assert [task.task for task in entries["bad"].tasks] == ["a", "mean of tasks"]
    with pytest.raises(UsageError, match="no task in common"):
        differences([fit("good", {"a": [1.0]}), fit("random", {"b": [1.0]})])


def test_a_fit_given_twice_and_other_documents_are_refused():
    runs = small_study()
    with pytest.raises(UsageError, match="good at 10% on plain was given twice with seed 0"):
        differences([*runs, fit("good", {"a": scores(0.9)})])
    other = dataclasses.replace(fit("good", {"a": [1.0]}, seed=9), report=report({"a": [1.0]}, data="other"))
    with pytest.raises(UsageError, match="differ in the data of a"):
        differences([*runs, other])
