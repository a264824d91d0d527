"""ScalSelect against a full singular value decomposition."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_methods import by_svd
from scored_vectors import check_promises, picks, table

from hf_select.errors import UsageError
from hf_select.recipes.recipe import Models
from hf_select.recipes.scalselect import ScalSelect

COLUMN = "attended_hidden"


def pool(seed, n=50):
    rng = np.random.default_rng(seed)
    return table(rng.normal(size=(n, 9)) * rng.gamma(1, size=9) + 2, COLUMN)


@pytest.mark.parametrize(("budget", "energy"), [(1, 0.9), (12, 0.9), (25, 0.6), (50, 1.0)])
def test_the_picks_are_those_of_the_decomposition(budget, energy):
    rows = pool(budget)
    found, _ = by_svd(np.array(rows[COLUMN].to_pylist()), energy - 1e-13)
    chosen = ScalSelect(energy=energy).select(rows, budget)
    assert picks(chosen) == np.argsort(-np.round(found, 12), kind="stable")[:budget].tolist()


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), budget=st.integers(0, 55))
def test_the_budget_is_exact_and_the_order_of_rows_changes_nothing(seed, budget):
    check_promises(ScalSelect(), pool(seed), COLUMN, np.random.default_rng(seed), budget)


def test_a_model_is_needed_and_its_settings_are_checked():
    with pytest.raises(UsageError, match="scalselect"):
        ScalSelect().scorers(Models())
    with pytest.raises(UsageError, match="energy"):
        ScalSelect(energy=2)
