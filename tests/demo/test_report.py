import json
import math

import pytest

from hf_select.demo.measure import Picked, macro, suite_metrics
from hf_select.demo.pool import DemoPool
from hf_select.demo.report import NOISE, as_dict, gains, interval, render, verdict
from hf_select.demo.run import DemoConfig, DemoResult, SeedResult
from hf_select.demo.tasks import TASKS
from hf_select.evaluation.metrics import METRICS


def _seed(number, random, chosen, presel=50.0):
    scores = {
        "start": dict.fromkeys(TASKS, 10.0),
        "random": dict.fromkeys(TASKS, random),
        "mllm_selector": dict.fromkeys(TASKS, chosen),
        "presel": dict.fromkeys(TASKS, presel),
    }
    tasks = dict.fromkeys(TASKS, 5)
    picked = {
        "random": Picked(40, 4, 2, tasks),
        "mllm_selector": Picked(40, 2, 6, tasks),
        "presel": Picked(40, 0, 1, tasks),
    }
    return SeedResult(number, scores, picked, {"check": 1.0, "answers": 2.0}, instructions=40)


def _result(tmp_path, *seeds):
    pool = DemoPool(tmp_path, frozenset(), frozenset())
    return DemoResult(
        DemoConfig(rows=400, budget="10%"), pool, list(seeds), draw_seconds=0.5, wall_seconds=4.0, cpu_seconds=6.0
    )


def test_the_suite_has_a_known_metric_for_every_task():
    metrics = suite_metrics()
    assert tuple(metrics) == TASKS
    assert set(metrics.values()) <= set(METRICS)
    assert {"exact_match", "anls", "relaxed_accuracy"} == set(metrics.values())


def test_interval_is_students():
    middle, half = interval([1.0, 2.0, 3.0])
    assert middle == 2.0
    assert half == pytest.approx(4.303 / math.sqrt(3), abs=1e-3)
    assert interval([5.0]) == (5.0, math.inf)


def test_the_point_of_t_for_many_seeds():
    for count, point in ((16, 2.131), (31, 2.042), (121, 1.980)):
        values = [0.0, 1.0] * (count // 2) + [0.5] * (count % 2)
        error = math.sqrt(sum((v - 0.5) ** 2 for v in values) / (count - 1) / count)
        assert interval(values)[1] / error == pytest.approx(point, rel=0.005)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([NOISE - 0.1], "Undecided"),
        ([NOISE + 2], "MLLM-Selector won against random by 8.0"),
        ([-NOISE - 2], "random won against MLLM-Selector by 8.0"),
        ([1.0, -1.0, 2.0], "contains 0"),
        ([4.0, 4.5, 5.0], "MLLM-Selector won: MLLM-Selector minus random is +4.5"),
        ([-4.0, -4.5, -5.0], "random won"),
    ],
)
def test_the_verdict_is_honest(values, words):
    assert words in verdict(values, "MLLM-Selector")


def test_the_report_of_one_seed(tmp_path):
    result = _result(tmp_path, _seed(0, 50.0, 58.5))
    text = render(result)
    assert gains(result, "mllm_selector") == [8.5]
    assert gains(result, "presel") == [0.0]
    assert "10% of 400 rows" in text and "arXiv 2503.20502" in text and "+8.5" in text
    assert "instructions of 40 rows" in text and "arXiv 2503.07591" in text
    assert "±" not in text
    assert all(task in text for task in TASKS)
    copies = next(line for line in text.splitlines() if line.startswith("exact copies"))
    assert copies.split()[-4:] == ["10.0%", "10.0%", "5.0%", "0.0%"]
    assert text.rstrip().count("won against") == 1
    assert "Undecided: PreSel minus random is +0.0" in text


def test_the_report_of_more_seeds_has_intervals(tmp_path):
    result = _result(tmp_path, _seed(0, 50.0, 57.0), _seed(1, 52.0, 60.0), _seed(2, 51.0, 58.0))
    assert "±" in render(result)
    data = json.loads(json.dumps(as_dict(result)))
    assert data["gains"]["mllm_selector"]["mean"] == pytest.approx(22 / 3)
    assert data["gains"]["presel"]["mean"] == pytest.approx(-1.0)
    assert data["seeds"][1]["macro"]["mllm_selector"] == 60.0
    assert data["verdicts"]["mllm_selector"].startswith("MLLM-Selector won")
    assert data["verdicts"]["presel"].startswith("Undecided")


def test_the_benchmarks_of_lmms_eval_stand_at_the_end(tmp_path):
    from eval_reports import report

    from hf_select.evaluation.compare import compare

    plain = _result(tmp_path, _seed(0, 50.0, 58.5))
    assert "lmms-eval is not installed" in render(plain)
    better, base = (report({"docvqa_val": values}, model=name) for name, values in (("m", [1.0]), ("random", [0.0])))
    result = DemoResult(**{**plain.__dict__, "benchmarks": {"presel": compare(better, base)}})
    assert render(result).rstrip().endswith("over the same documents")
    assert "PreSel against random\ntask" in render(result) and "+100.00" in render(result)
    assert json.loads(json.dumps(as_dict(result)))["benchmarks"]["presel"]["tasks"][0]["difference"] == 100.0


def test_macro_counts_tasks_alike():
    assert macro({"a": 0.0, "b": 100.0}) == 50.0
