"""RESULTS.md says what the intervals say and no more, whatever the names are."""

import dataclasses

from eval_reports import report
from study_runs import fit, scores, small_study

from hf_select.evaluation.study_results import results_json
from hf_select.evaluation.study_text import results_markdown


def text_of(runs, about=None, plots=None):
    return results_markdown(results_json(runs, about), plots)


def table_after(text, heading):
    """The lines of the first table after a heading, cell by cell."""
    lines = text.split(f"{heading}\n", 1)[1].splitlines()
    start = next(at for at, line in enumerate(lines) if line.startswith("|"))
    table = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        table.append([cell.strip() for cell in line.strip("|").split(" | ")])
    return table


def test_the_reading_follows_the_intervals():
    said = text_of(small_study(("good", "bad", "same"))).split("## Settings")[0]
    assert "**plain, 10%** (3 recipes against random, 3 seeds):" in said
    assert "lies above zero for good, below zero for bad, and holds zero for same." in said
    assert "With all 3 comparisons counted: above zero good, below bad." in said
    assert "By Student's t over seeds: above zero good, below bad." in said


def test_one_seed_is_said_to_be_documents_only():
    said = text_of(small_study(seeds=1)).split("## Settings")[0]
    assert "1 seed)" in said and "With one seed an interval is over documents only." in said
    assert "Student" not in said


def test_nothing_is_claimed_without_intervals_or_recipes():
    runs = small_study()
    for at, run in enumerate(runs):
        tasks = tuple(dataclasses.replace(task, value=0.123) for task in run.report.tasks)
        runs[at] = dataclasses.replace(run, report=dataclasses.replace(run.report, tasks=tasks))
    said = text_of(runs).split("## Settings")[0]
    assert "above zero for none, below zero for none, and holds zero for none." in said
    assert "No interval, since a task's value is no mean over documents: bad, good." in said
    alone = text_of([run for run in small_study() if run.recipe == "random"])
    assert "no recipe was compared with random" in alone


def test_a_table_is_sorted_by_difference_and_has_every_column():
    text = text_of(small_study(("good", "bad", "same")))
    heads, _, *rows = table_after(text, "## plain, 10%")
    assert [row[0] for row in rows][0] == "good" and [row[0] for row in rows][-1] == "bad"
    good = dict(zip(heads, rows[0], strict=True))
    assert good["seeds won"] == "3 of 3" and good["forward passes a row"] == "2"
    assert good["time"] == "200.0 %" and good["swapped to chance"] == "0.50"
    assert good["95 % interval"].startswith("+") and " to +" in good["95 % interval"]
    own = dict(zip(heads, next(row for row in rows if row[0] == "random"), strict=True))
    assert own["difference"] == own["95 % interval"] == "–"


def test_tasks_ends_and_picks_have_their_tables():
    text = text_of(small_study())
    heads, _, own, good, bad = table_after(text, "### Difference task by task")
    assert heads == ["recipe", "a (60)", "b (60)"]
    assert own[0] == "(random: score)" and good[1].startswith("**+") and bad[1].startswith("**-")
    picked = table_after(text, "### What was picked")
    assert picked[2] == ["(pool)", "", "50.0", "50.0", "20.0"]
    assert picked[3] == ["good", "10", "60.0", "40.0", "10.0"]
    ends = table_after(text, "## Ends of the scale")
    assert [row[2] for row in ends[2:]] == ["before any fit", "tuned on all usable rows", "random at 10%"]


def test_settings_are_shown_flat_and_gpu_hours_where_there_was_one():
    about = {"learner": {"lr": 0.1, "layers": [1, 2], "fit": {"steps": 5}}, "device": "cuda"}
    text = text_of(small_study(), about)
    settings = dict(table_after(text, "## Settings")[2:])
    assert (settings["learner.lr"], settings["learner.layers"], settings["learner.fit.steps"]) == ("0.1", "1, 2", "5")
    assert "GPU-hours" in table_after(text, "## plain, 10%")[0]
    assert "GPU-hours" not in text_of(small_study())


def test_what_was_left_out_is_said():
    runs = [run for run in small_study() if (run.recipe, run.seed) != ("random", 2)]
    text = text_of([*runs, fit("start", {"a": scores(0.1)}, budget="0", seed=5)])
    assert "2 are in no difference" in text
    assert "On plain, small not every fit has a result of b: left out of all numbers." in text
    assert "2 of 2 (1 left out)" in text


def test_names_are_shown_literally():
    hostile = "a|b<script>*x*\n# y"
    runs = [
        dataclasses.replace(
            fit(recipe, {"a": [1.0]}, pool=hostile, model=hostile), report=report({hostile: [1.0, 0.0]})
        )
        for recipe in ("random", hostile)
    ]
    text = text_of(runs, {hostile: hostile}, {"x.png": hostile})
    assert "<script>" not in text and "\n# y" not in text and "a|b" not in text
    heads, _, *rows = table_after(text, "### Difference task by task")
    assert {len(row) for row in rows} == {len(heads)}


def test_models_are_named_only_where_there_are_several():
    runs = small_study()
    assert "## plain, 10%, small" not in text_of(runs)
    assert "## plain, 10%, large" in text_of([*runs, *(dataclasses.replace(run, model="large") for run in runs)])


def test_budgets_come_in_the_order_of_size():
    text = text_of(small_study(budgets=("30%", "5%", "15%")))
    assert text.index("## plain, 5%") < text.index("## plain, 15%") < text.index("## plain, 30%")


def test_plots_are_shown_with_their_captions():
    assert "the caption\n\n![](a-b.png)" in text_of(small_study(), plots={"a-b.png": "the caption"})
