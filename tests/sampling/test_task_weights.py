import math

import pytest

from hf_select.errors import UsageError
from hf_select.sampling.task_weights import task_weights

SCORES = {"a": 0.80, "b": 0.85, "c": 0.90, "d": 1.00}


@pytest.mark.parametrize(
    ("temperature", "wanted"),
    [(0.5, [0.294647, 0.266608, 0.241237, 0.197508]), (1 / math.sqrt(10), [0.321137, 0.274172, 0.234075, 0.170616])],
)
def test_golden_values_of_the_published_code(temperature, wanted):
    assert list(task_weights(SCORES, temperature=temperature).weights.values()) == pytest.approx(wanted, abs=1e-6)


def test_tau_is_one_over_the_root_of_the_tasks():
    assert task_weights(SCORES).temperature == 0.5
    assert task_weights(SCORES).weights == task_weights(SCORES, temperature=0.5).weights


def test_a_row_without_a_score_does_not_cost_its_task():
    found = task_weights({"a": [0.7, math.nan, 0.9], "b": [0.8]})
    assert found.means["a"] == pytest.approx(0.8)
    assert found.counts == {"a": 2, "b": 1}
    assert found.weights["a"] == pytest.approx(0.5)
    assert found.notes == ("1 reference rows have no score and count in no mean",)


def test_a_task_without_any_score_weighs_like_the_mean_of_the_others():
    found = task_weights({"a": [0.6], "b": [math.nan], "c": [0.8]})
    assert found.means["b"] == pytest.approx(0.7)
    assert found.counts["b"] == 0
    assert any("'b'" in note for note in found.notes)
    assert sum(found.weights.values()) == pytest.approx(1.0)


def test_a_task_without_reference_rows_is_an_error_that_names_it():
    with pytest.raises(UsageError, match="1 of 2 tasks have no reference row .'lost'."):
        task_weights({"a": [0.5], "lost": []})


def test_sel_02_equal_scores_weigh_the_same():
    found = task_weights({"a": 0.8, "b": 0.8, "c": 0.8})
    assert list(found.weights.values()) == pytest.approx([1 / 3] * 3)


def test_sel_05_one_task_gets_everything():
    assert task_weights({"only": 0.7}).weights == {"only": 1.0}


@pytest.mark.parametrize("scores", [{}, {"a": [math.nan]}])
def test_nothing_to_weigh_is_refused(scores):
    with pytest.raises(UsageError):
        task_weights(scores)


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan])
def test_a_temperature_must_be_above_0(temperature):
    with pytest.raises(UsageError, match="above 0"):
        task_weights(SCORES, temperature=temperature)


def test_extreme_scores_do_not_overflow():
    found = task_weights({"a": 1e6, "b": -1e6}, temperature=1e-3)
    assert found.weights == {"a": 0.0, "b": 1.0}
