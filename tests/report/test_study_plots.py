"""Plots of a study: valid images with every recipe's and task's name on them, for any names and numbers."""

import dataclasses
import io

import pytest
from PIL import Image
from study_runs import small_study

from hf_select.evaluation.study_results import results_json
from hf_select.report.study_plots import picked_map, planted_to_chance, score_against_budget, study_plots, task_map

RECIPES = ("good", "bad", *(f"recipe_{n}" for n in range(18)))


@pytest.fixture(scope="module")
def results():
    return results_json(small_study(RECIPES, budgets=("5%", "15%"), seeds=2))


def rows_of(results, budget="15%"):
    return [row for row in results["rows"] if row["budget_label"] == budget]


def words(figure):
    """All texts of a figure."""
    from matplotlib.text import Text

    for axes in figure.axes:
        axes.get_xticklabels(), axes.get_yticklabels()
    return {text.get_text() for text in figure.findobj(Text)}


def test_every_plot_is_an_image_with_a_name_and_a_caption_of_its_own():
    plots = study_plots(results_json(small_study(pools=("plain", "dirty"))))
    assert [plot.file for plot in plots[:3]] == ["budgets-plain.png", "budgets-dirty.png", "differences-plain-10.png"]
    kinds = ("differences", "tasks", "picked", "planted")
    assert {plot.file for plot in plots[2:]} == {f"{k}-{p}-10.png" for k in kinds for p in ("plain", "dirty")}
    assert len({plot.caption for plot in plots}) == len(plots)
    for plot in plots:
        image = Image.open(io.BytesIO(plot.png))
        image.load()
        assert image.format == "PNG" and min(image.size) > 100


def test_scores_have_a_panel_a_recipe_with_random_and_both_ends(results):
    shown = words(score_against_budget(results["rows"], results["about"]["ends"], "random"))
    assert shown >= {*RECIPES, "random", "start", "full", "recipe", "5%", "15%", "budget"}


def test_the_map_of_differences_names_recipes_tasks_and_values(results):
    others = [row for row in rows_of(results) if row["recipe"] != "random"]
    figure = task_map(others)
    good = next(row for row in others if row["recipe"] == "good")
    assert words(figure) >= {*RECIPES, "a", "b", "mean of tasks", f"{good['diff']:+.1f}"}
    from matplotlib.patches import Rectangle

    framed = [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]
    cells = [cell for row in others for cell in (row, *row["tasks"].values())]
    assert len(framed) == sum(cell["diff_low"] > 0 or cell["diff_high"] < 0 for cell in cells)


def test_the_map_of_picks_starts_with_the_pool(results):
    shown = words(picked_map(rows_of(results)))
    assert shown >= {"(pool)", "random", *RECIPES, "a", "b", "50.0", "60.0", "40.0"}


def test_planted_trouble_is_relative_to_chance(results):
    figure = planted_to_chance(rows_of(results))
    assert words(figure) >= {*RECIPES, "random", "swapped"}
    assert set(figure.axes[0].lines[1].get_xdata()) == {0.5}


def test_any_names_and_the_largest_of_many_tasks():
    tasks = tuple(f"$t_{n}$ <b>|\n{'z' * 80}" for n in range(45))
    runs = small_study(("a $x$ |\n",), pools=("p/q", "p?q"), tasks=tasks, seeds=1)
    counts = {"picked": dict.fromkeys(tasks, 0), "pool_rows": dict.fromkeys(tasks, 9), "planted": {}}
    results = results_json([dataclasses.replace(run, **counts) for run in runs])
    one = [row for row in results["rows"] if row["pool"] == "p/q"]
    for figure in (task_map(one[1:]), picked_map(one)):
        assert len(figure.axes[0].get_xticks()) in (40, 41)
    results["rows"] = [{**row, "tasks": dict([*row["tasks"].items()][:2])} for row in results["rows"]]
    results["rows"] = [{**row, "picked": dict([*row["picked"].items()][:2])} for row in results["rows"]]
    files = [plot.file for plot in study_plots(results)]
    assert files[:2] == ["budgets-p-q.png", "budgets-p-q-2.png"]
    assert len(set(files)) == len(files) == 8


def test_no_intervals_and_nothing_to_compare():
    runs = small_study()
    for at, run in enumerate(runs):
        changed = tuple(dataclasses.replace(task, value=0.123) for task in run.report.tasks)
        runs[at] = dataclasses.replace(run, report=dataclasses.replace(run.report, tasks=changed))
    assert len(study_plots(results_json(runs))) == 5
    alone = [run for run in runs if run.recipe == "random"]
    assert [plot.file for plot in study_plots(results_json(alone))] == ["budgets-plain.png"]
