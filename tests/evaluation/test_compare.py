import numpy as np
import pytest
from eval_reports import report

from hf_select.errors import UsageError
from hf_select.evaluation.compare import compare, relative
from hf_select.evaluation.report import EvalReport


def scores(mean, n=200, seed=0):
    return (np.random.default_rng(seed).random(n) < mean).astype(float).tolist()


def test_equal_models_differ_by_nothing():
    one = report({"docvqa": scores(0.6)})
    entry = compare(one, one).tasks[0]
    assert (entry.difference, entry.low, entry.high, entry.wins, entry.losses, entry.n) == (0, 0, 0, 0, 0, 200)


def test_pairing_makes_the_interval_narrow():
    base = scores(0.5)
    better = list(base)
    for at in [i for i, value in enumerate(base) if value == 0][:20]:
        better[at] = 1.0
    shuffled = np.random.default_rng(1).permutation(better).tolist()
    paired = compare(report({"t": better}), report({"t": base})).tasks[0]
    unpaired = compare(report({"t": shuffled}), report({"t": base})).tasks[0]
    assert paired.difference == pytest.approx(10.0) == pytest.approx(unpaired.difference)
    assert paired.wins == 20 and paired.losses == 0
    assert 0 < paired.low < 10 < paired.high
    assert unpaired.high - unpaired.low > 1.5 * (paired.high - paired.low)


def test_the_interval_is_that_of_the_paired_mean():
    rng = np.random.default_rng(3)
    base = rng.random(400)
    gap = rng.normal(0.05, 0.2, 400)
    entry = compare(report({"t": (base + gap).tolist()}), report({"t": base.tolist()})).tasks[0]
    half = 1.96 * gap.std(ddof=1) / 20
    assert entry.low == pytest.approx(100 * (gap.mean() - half), abs=0.4)
    assert entry.high == pytest.approx(100 * (gap.mean() + half), abs=0.4)


def test_several_runs_widen_the_interval_by_their_own_spread():
    runs = [report({"t": scores(0.5 + shift, seed=0)}) for shift in (-0.1, 0.0, 0.1)]
    base = report({"t": scores(0.3, seed=0)})
    many, one = compare(runs, base).tasks[0], compare(runs[1], base).tasks[0]
    assert many.difference == pytest.approx(one.difference, abs=2.5)
    assert many.high - many.low > one.high - one.low


def test_the_mean_of_tasks_counts_each_task_the_same():
    comparison = compare(report({"a": [1.0, 1.0], "b": [0.0]}), report({"a": [0.0, 0.0], "b": [0.0]}))
    mean = comparison.tasks[-1]
    assert mean.task == "mean of tasks"
    assert (mean.difference, mean.wins, mean.n) == (50.0, 2, 3)
    assert "+50.00" in comparison.render() and "95%" in comparison.render()


def test_a_metric_that_is_no_mean_of_documents_has_no_interval():
    one = report({"mme": [1.0, 0.0]})
    odd = EvalReport(**{**one.__dict__, "tasks": (one.tasks[0].__class__(**{**one.tasks[0].__dict__, "value": 0.9}),)})
    entry = compare(odd, one).tasks[0]
    assert entry.low is None and entry.high is None
    assert entry.difference == pytest.approx(40.0)


def test_rel_has_both_definitions():
    # methods of the literature disagree: mean of ratios is (50 % + 100 %) / 2, ratio of means is 60 / 100
    rel = relative([report({"a": [0.4], "b": [0.2]})], report({"a": [0.8], "b": [0.2]}), ["a", "b"])
    assert rel.mean_of_ratios == pytest.approx(75.0)
    assert rel.ratio_of_means == pytest.approx(60.0)
    assert rel.tasks == ("a", "b")


def test_rel_leaves_out_what_the_full_model_can_not_do():
    rel = relative([report({"a": [0.4], "b": [0.2]})], report({"a": [0.8], "b": [0.0]}), ["a", "b"])
    assert rel.tasks == ("a",)
    with pytest.raises(UsageError, match="not defined"):
        relative([report({"a": [0.4]})], report({"a": [0.0]}), ["a"])


def test_rel_enters_the_comparison():
    full = report({"a": [1.0]}, model="full")
    text = compare(report({"a": [0.5]}), report({"a": [0.4]}), full=full).render()
    assert "Rel.: 50.00 % (mean of ratios), 50.00 % (ratio of means) over a" in text


@pytest.mark.parametrize("fields", [{"data": "d1"}, {"settings": {"limit": 5}}])
def test_what_was_measured_differently_is_not_compared(fields):
    with pytest.raises(UsageError, match="of a: evaluate both"):
        compare(report({"a": [1.0]}), report({"a": [1.0]}, **fields))


def test_other_versions_and_other_tasks_are_not_compared():
    one = report({"a": [1.0]})
    with pytest.raises(UsageError, match="lmms-eval 0.7.3 and"):
        compare(one, EvalReport(**{**one.__dict__, "versions": {"lmms-eval": "0.8"}}))
    with pytest.raises(UsageError, match="no task in common"):
        compare(one, report({"b": [1.0]}))
    with pytest.raises(UsageError, match="at least one"):
        compare([], one)


def test_markdown_escapes_names():
    hostile = report({"a|b<script>": [1.0]}, model="x|y")
    text = compare(hostile, hostile).markdown()
    assert "a\\|b&lt;script>" in text and "x\\|y" in text
