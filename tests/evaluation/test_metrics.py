import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_select.errors import UnknownName, UsageError
from hf_select.evaluation.metrics import (
    METRICS,
    anls,
    contains,
    edit_distance,
    exact_match,
    mean_score,
    metric,
    relaxed_accuracy,
    rouge_l,
)

EVA_02 = [
    (["Paris"], "paris", 1.0),
    (["Paris"], "  Paris  ", 1.0),
    (["Paris"], "", 0.0),
    ([""], "", 1.0),
    (["1/8/93"], "1/8/98", 0.833333),
    (["abcd"], "abxy", 0.5),
    (["abcd"], "abcx", 0.75),
    (["abcd"], "axyz", 0.0),
    (["10%"], "10 %", 0.75),
]
EVA_03 = [
    ("105", "100", True),
    ("105.2", "100", False),
    ("95", "100", True),
    ("94.9", "100", False),
    ("0", "0", True),
    ("0.0", "0", False),
    ("42", "42%", False),
    ("0.42", "42%", True),
    ("Yes", "yes", True),
    ("yes.", "yes", False),
    ("1,000", "1000", False),
]
MORE_NUMBERS = [("nan", "5"), ("inf", "5"), ("-95", "-100"), ("1_0", "10"), ("%", "5"), ("5%%", "0.05"), (" 5 ", "5")]
texts = st.text(st.sampled_from("abAB 1%.\n"), max_size=8)


@pytest.mark.parametrize(("references", "prediction", "expected"), EVA_02)
def test_eva_02_anls_values(references, prediction, expected):
    assert anls(prediction, references) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("prediction", "gold", "expected"), EVA_03)
def test_eva_03_relaxed_accuracy_is_relative_to_the_gold_value(prediction, gold, expected):
    assert relaxed_accuracy(prediction, [gold]) == float(expected)


@pytest.fixture(scope="module")
def harness():
    metrics = pytest.importorskip("lmms_eval.api.metrics", reason="lmms-eval is not installed")
    chartqa = pytest.importorskip("lmms_eval.tasks.chartqa.utils", reason="lmms-eval is not installed")
    return metrics.anls, chartqa.relaxed_correctness


def test_values_equal_those_of_lmms_eval(harness):
    their_anls, their_relaxed = harness
    pairs = [(p, r[0]) for r, p, _ in EVA_02] + [(p, g) for p, g, _ in EVA_03] + MORE_NUMBERS
    pairs += [(b, a) for a, b in pairs]
    for prediction, gold in pairs:
        assert anls(prediction, [gold]) == their_anls([gold], [prediction])["anls"], (prediction, gold)
        assert relaxed_accuracy(prediction, [gold]) == float(their_relaxed(prediction, gold)), (prediction, gold)


@given(prediction=texts, references=st.lists(texts, min_size=1, max_size=3))
def test_anls_equals_lmms_eval_on_any_text(harness, prediction, references):
    assert anls(prediction, references) == pytest.approx(harness[0](references, [prediction])["anls"], abs=1e-12)


def test_exact_match_ignores_case_and_blanks_only():
    assert exact_match(" New\n York ", ["new york"]) == 1.0
    assert exact_match("yes.", ["yes"]) == 0.0
    assert exact_match("b", ["a", "B"]) == 1.0


def test_contains_needs_a_reference_that_is_not_empty():
    assert contains("It is 42 now", ["42"]) == 1.0
    assert contains("anything", [""]) == 0.0


def test_rouge_l_by_hand():
    # common subsequence "the cat sat" = 3; P = 3/4, R = 3/5, b^2 = 1.44
    expected = 2.44 * 0.75 * 0.6 / (0.6 + 1.44 * 0.75)
    assert rouge_l("The cat quickly sat", ["the cat sat on mats"]) == pytest.approx(expected)
    assert rouge_l("a b", ["a b"]) == pytest.approx(1.0)
    assert rouge_l("", ["a"]) == rouge_l("a", [""]) == rouge_l("a", ["b"]) == 0.0


def test_rouge_l_takes_the_best_precision_and_recall_over_references():
    # P from "a b c d" (2/2), R from "a" (1/1): pycocoevalcap takes each maximum on its own
    assert rouge_l("a b", ["a b c d", "a"]) == pytest.approx(1.0)


@given(texts, texts)
def test_every_metric_is_between_0_and_1_and_1_on_itself(a, b):
    for name, score in METRICS.items():
        assert 0.0 <= score(a, [b]) <= 1.0
        if a.strip():
            assert score(a, [b, a]) == pytest.approx(1.0), name


def test_edit_distance():
    assert edit_distance("kitten", "sitting") == 3
    assert edit_distance("", "abc") == 3


def test_mean_and_its_faults():
    assert mean_score("exact_match", ["a", "b"], [["a"], ["c"]]) == 0.5
    with pytest.raises(UsageError, match="1 predictions for 2 documents"):
        mean_score("anls", ["a"], [["a"], ["b"]])
    with pytest.raises(UnknownName, match="Did you mean 'anls'"):
        metric("anl")
