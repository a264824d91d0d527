"""A study's records and RESULTS.json: exact round trips, what each number is, what is said about what is missing."""

import dataclasses
import json

import pytest
from study_runs import fit, scores, small_study

from hf_select.errors import UsageError
from hf_select.evaluation.study_results import RUN_FILE, StudyRun, results_json, write_results

REQUIRED = {"pool", "recipe", "budget", "model", "seeds", "score", "diff", "diff_low", "diff_high"}


def row_of(results, recipe):
    return next(row for row in results["rows"] if row["recipe"] == recipe)


def test_a_fit_is_read_back_exactly(tmp_path):
    run = fit("é|x", {"a": [1.0, 0.0], "b": [1 / 3]}, planted={"swapped": (0, 7), "leaked": (1, 2)})
    assert StudyRun.load(run.save(tmp_path / "fit")) == run


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"planted": {"x": 1}}', '{"planted": {}, "strange": 1}'])
def test_a_damaged_record_is_named(tmp_path, text):
    fit("x", {"a": [1.0]}).save(tmp_path)
    (tmp_path / RUN_FILE).write_text(text)
    with pytest.raises(UsageError, match="holds no fit of a study"):
        StudyRun.load(tmp_path)


def test_rows_have_what_readers_were_promised():
    results = results_json(small_study(pools=("plain", "dirty"), budgets=("10%", "2.5%")))
    assert set(results) == {"rows", "about"}
    assert len(results["rows"]) == 2 * 2 * 3
    assert all(set(row) >= REQUIRED for row in results["rows"])
    assert {row["budget"] for row in results["rows"]} == {0.1, 0.025}
    assert json.loads(json.dumps(results, allow_nan=False)) == results
    row = row_of(results, "good")
    assert row["seeds"] == 3 and row["seeds_won"] == 3 and row["seeds_lost"] == 0
    assert row["diff"] == pytest.approx(row["score"] - row["baseline"], abs=1e-5)
    assert row["diff_low"] < row["diff"] < row["diff_high"]
    assert set(row["tasks"]) == {"a", "b"}
    ends = results["about"]["ends"]
    assert [(end["pool"], end["end"]) for end in ends] == [
        (p, e) for p in ("plain", "dirty") for e in ("start", "full")
    ]


def test_rel_has_both_definitions_against_the_mean_of_the_full_fits():
    runs = [fit("random", {"a": [0.4], "b": [0.2]}), fit("x", {"a": [0.2], "b": [0.4]})]
    full = [fit("full", {"a": [top], "b": [0.2]}, budget="100%", seed=seed) for seed, top in enumerate((0.7, 0.9))]
    row = row_of(results_json(runs + full), "x")
    assert row["rel_mean_of_ratios"] == pytest.approx(100 * (0.2 / 0.8 + 0.4 / 0.2) / 2)
    assert row["rel_ratio_of_means"] == pytest.approx(100 * 0.6 / 1.0)
    nothing = [fit("full", {"a": [0.0], "b": [0.0]}, budget="100%")]
    for others in ([], nothing):
        assert row_of(results_json(runs + others), "x")["rel_mean_of_ratios"] is None


def test_the_saving_counts_scoring_selecting_and_tuning():
    runs = small_study()
    whole = {"score": 0.0, "select": 0.0, "fit": 60.0, "evaluate": 9.0}
    runs = [dataclasses.replace(run, seconds=whole) if run.recipe == "full" else run for run in runs]
    cost = row_of(results_json(runs), "good")["cost"]
    assert cost["of_full_time"] == pytest.approx((2 + 1 + 3) / 60)
    assert cost["forwards"] == 2 and cost["seconds"]["evaluate"] == 9
    assert "gpu_hours" not in cost
    on_gpu = row_of(results_json(runs, {"device": "cuda:0"}), "good")["cost"]
    assert on_gpu["gpu_hours"] == pytest.approx(6 / 3600, abs=1e-6)
    alone = [run for run in runs if run.recipe != "full"]
    assert row_of(results_json(alone), "good")["cost"]["of_full_time"] is None


def test_what_was_picked_is_told_as_shares_of_the_rows():
    row = row_of(results_json(small_study()), "good")
    assert row["picked"] == {"a": {"share": 0.6, "pool": 0.5}, "b": {"share": 0.4, "pool": 0.5}}
    assert row["planted"] == {"swapped": {"share": 0.1, "pool": 0.2, "to_chance": 0.5}}


def test_a_budget_in_rows_is_a_share_of_the_pool():
    runs = [fit(recipe, {"a": [1.0]}, budget="10") for recipe in ("random", "x")]
    row = row_of(results_json(runs), "x")
    assert (row["budget"], row["budget_label"]) == (0.1, "10")


def test_an_empty_budget_has_no_shares():
    nothing = {"picked": {"a": 0, "b": 0}, "rows": 0, "planted": {"swapped": (0, 20)}}
    row = row_of(results_json([fit(recipe, {"a": [1.0]}, budget="0%", **nothing) for recipe in ("random", "x")]), "x")
    assert row["picked"]["a"]["share"] is None and row["planted"]["swapped"]["share"] == 0


def test_what_is_missing_is_counted():
    runs = [run for run in small_study() if (run.recipe, run.seed) != ("random", 2)]
    runs.append(fit("start", {"a": [0.5]}, budget="0", seed=5))
    about = results_json(runs, {"command": "x"})["about"]
    assert about["fits_left_out"] == 2
    assert about["tasks_left_out"] == {"plain, small": ["b"]}
    assert about["command"] == "x"
    with pytest.raises(UsageError, match="no finished fit"):
        results_json([])


def test_all_files_are_written_and_the_same_each_time(tmp_path):
    runs = small_study()
    written = [write_results(runs, tmp_path / name, {"command": "make study"}) for name in "ab"]
    assert written[0].name == "RESULTS.md"
    text = written[0].read_text("utf-8")
    assert "make study" in text
    files = sorted(path.name for path in written[0].parent.iterdir())
    images = [name for name in files if name.endswith(".png")]
    assert len(images) == 5 and all(f"({name})" in text for name in images)
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert json.loads((tmp_path / "a" / "RESULTS.json").read_text("utf-8"))["rows"]


def test_scores_are_means_over_paired_seeds():
    runs = small_study(seeds=2)
    row = row_of(results_json([*runs, fit("good", {"a": scores(0.0), "b": scores(0.0)}, seed=9)]), "good")
    own = [run.report.macro for run in runs if run.recipe == "good"]
    assert row["score"] == pytest.approx(sum(own) / 2, abs=1e-5)
    assert row["seeds_left_out"] == 1
