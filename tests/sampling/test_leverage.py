"""LeverageSampler against a full singular value decomposition."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_methods import by_svd
from scored_vectors import check_promises, picks, table

from hf_select.errors import UsageError
from hf_select.sampling.leverage import LeverageSampler, leverage

COLUMN = "attended_hidden"


@pytest.mark.parametrize("shape", [(60, 8), (30, 40), (5, 2), (2, 3)])
@pytest.mark.parametrize("energy", [0.5, 0.9, 0.99])
def test_leverage_is_that_of_the_singular_value_decomposition(shape, energy):
    rng = np.random.default_rng(shape[0])
    points = (rng.normal(size=shape) * rng.gamma(1, size=shape[1]) + 3).astype(np.float32)
    wanted, k = by_svd(points, energy)
    found = leverage(points, energy)
    np.testing.assert_allclose(found, wanted, atol=1e-9)
    assert found.sum() == pytest.approx(k)


def test_the_highest_leverage_is_picked():
    points = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32) * [5, 4, 3, 2, 1, 1]
    points = points.astype(np.float32)
    wanted, _ = by_svd(points, 0.9)
    chosen = LeverageSampler().select(table(points, COLUMN), 12)
    assert picks(chosen) == np.argsort(-wanted, kind="stable")[:12].tolist()
    np.testing.assert_allclose(chosen.table["score"].to_numpy(), np.sort(wanted)[::-1][:12], rtol=1e-6)


def test_equal_rows_have_no_direction_and_go_by_key():
    assert picks(LeverageSampler().select(table(np.ones((5, 3)) * 0.1, COLUMN), 2)) == [0, 1]
    assert leverage(np.ones((1, 3))).tolist() == [0.0]
    assert leverage(np.empty((0, 3))).size == 0


def test_groups_share_the_budget():
    points = np.random.default_rng(0).normal(size=(30, 4))
    chosen = LeverageSampler(group="row_task").select(table(points, COLUMN), 9)
    assert [quota.picked for quota in chosen.quotas] == [3, 3, 3]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), budget=st.integers(0, 45))
def test_the_budget_is_exact_and_the_order_of_rows_changes_nothing(seed, budget):
    rng = np.random.default_rng(seed)
    check_promises(LeverageSampler(), table(rng.normal(size=(40, 5)), COLUMN), COLUMN, rng, budget)


@pytest.mark.parametrize("energy", [0, 1.5, float("nan")])
def test_energy_is_a_share(energy):
    with pytest.raises(UsageError, match="energy"):
        LeverageSampler(energy=energy)
