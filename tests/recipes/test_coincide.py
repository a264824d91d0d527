"""COINCIDE against plain loops over all pairs; its golden budgets are in tests/sampling/test_greedy_mmd.py."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_methods import plain_coincide
from scored_vectors import check_promises, picks, table

from hf_select.errors import UnknownName, UsageError
from hf_select.recipes.coincide import Coincide
from hf_select.recipes.recipe import Models

COLUMN = "coincide_hidden"


def pool(seed, n=70):
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(4, 12))
    points = np.tanh(centres[rng.integers(0, 4, n)] + rng.normal(size=(n, 12)) * 0.5).reshape(n, 4, 3)
    return table((points / np.linalg.norm(points, axis=2, keepdims=True)).reshape(n, 12) / 2, COLUMN)


@pytest.mark.parametrize(("budget", "clusters"), [(9, 5), (30, 0.1), (69, 5)])
@pytest.mark.parametrize("preset", ["safe", "paper"])
def test_the_picks_are_those_of_plain_loops(budget, clusters, preset):
    rows = pool(budget)
    points = np.array(rows[COLUMN].to_pylist(), dtype=np.float32)
    k = 7 if clusters == 0.1 else clusters
    chosen = Coincide(clusters=clusters, preset=preset).select(rows, budget)
    assert picks(chosen) == plain_coincide(points, k, budget, preset == "safe")


def test_copies_that_are_dropped_change_nothing():
    rows = pool(0)
    twice = pa.concat_tables([rows, rows.slice(10, 30)])
    assert Coincide(clusters=5).select(twice, 20).keys == Coincide(clusters=5).select(rows, 20).keys


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), budget=st.integers(0, 75))
def test_the_budget_is_exact_and_the_order_of_rows_changes_nothing(seed, budget):
    check_promises(Coincide(clusters=0.1), pool(seed), COLUMN, np.random.default_rng(seed), budget)


def test_a_model_is_needed_and_its_settings_are_checked():
    with pytest.raises(UsageError, match="coincide"):
        Coincide().scorers(Models())
    with pytest.raises(UnknownName):
        Coincide(preset="fast")
