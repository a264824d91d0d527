"""CorrelationSampler against the mean of all pairs."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_methods import by_pairs
from scored_vectors import check_promises, picks, table

from hf_select.errors import UnknownName, UsageError
from hf_select.sampling.correlation import CorrelationSampler, mean_correlation

COLUMN = "shallow_hidden"


@pytest.mark.parametrize("shape", [(40, 6), (12, 30), (3, 2)])
def test_the_mean_correlation_is_that_of_all_pairs(shape):
    points = (np.random.default_rng(shape[0]).normal(size=shape) + 2).astype(np.float32)
    np.testing.assert_allclose(mean_correlation(points), by_pairs(points), atol=1e-12)


def test_the_lowest_correlation_is_picked():
    points = (np.random.default_rng(1).normal(size=(40, 6)) + 2).astype(np.float32)
    chosen = CorrelationSampler().select(table(points, COLUMN), 10)
    assert picks(chosen) == np.argsort(by_pairs(points), kind="stable")[:10].tolist()
    np.testing.assert_allclose(chosen.table["score"].to_numpy(), np.sort(by_pairs(points))[:10], rtol=1e-5)


def test_an_odd_row_out_comes_first_and_a_crowd_last():
    rng = np.random.default_rng(2)
    crowd = np.array([10.0, 0, 0]) + rng.normal(size=(30, 3)) * 0.1
    odd = np.array([[-10.0, 0, 0]])
    assert picks(CorrelationSampler().select(table(np.vstack([crowd, odd]), COLUMN), 1)) == [30]


def test_equal_rows_and_a_row_alone_have_no_correlation():
    assert mean_correlation(np.full((7, 3), 0.1, dtype=np.float32)).tolist() == [0.0] * 7
    assert mean_correlation(np.ones((1, 3))).tolist() == [0.0]
    assert mean_correlation(np.array([[1.0, 0], [-1, 0], [0, 0]])).tolist() == [-0.5, -0.5, 0.0]


def without_image():
    points = np.random.default_rng(3).normal(size=(10, 3)).tolist()
    points[2] = points[5] = points[7] = None
    status = ["ok"] * 10
    status[2] = status[5] = "no_image"
    status[7] = "out_of_memory"
    return table(points, COLUMN, **{f"{COLUMN}_status": pa.array(status)})


def test_rows_without_an_image_are_left_out_with_a_reason_or_kept_first():
    rows = without_image()
    chosen = CorrelationSampler().select(rows, 10)
    assert not {2, 5, 7} & set(picks(chosen)) and chosen.rejected == {"no embedding": 3}
    kept = CorrelationSampler(without_image="keep").select(rows, 4)
    assert set(picks(kept)[:2]) == {2, 5} and len(kept) == 4
    assert kept.rejected == {"no embedding": 1}
    assert any("2 rows without an image come first" in note for note in kept.notes)
    assert picks(kept)[2:] == picks(chosen)[:2]


def test_keeping_rows_without_an_image_needs_their_status():
    rows = without_image().drop_columns([f"{COLUMN}_status"])
    with pytest.raises(UsageError, match=f"{COLUMN}_status"):
        CorrelationSampler(without_image="keep").select(rows, 4)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), budget=st.integers(0, 45))
def test_the_budget_is_exact_and_the_order_of_rows_changes_nothing(seed, budget):
    rng = np.random.default_rng(seed)
    check_promises(CorrelationSampler(), table(rng.normal(size=(40, 5)), COLUMN), COLUMN, rng, budget)


def test_an_unknown_way_is_refused():
    with pytest.raises(UnknownName):
        CorrelationSampler(without_image="drop")
