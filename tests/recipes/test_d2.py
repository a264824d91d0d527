"""D2 pruning against messages along all edges and the argmax of all gains."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_similarity import lumps, plain_d2
from scored_vectors import check_promises, picks, table

from hf_select.errors import UsageError
from hf_select.recipes.d2 import D2Pruning
from hf_select.recipes.recipe import Models

COLUMN = "last_hidden"


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_picks_are_those_of_the_messages_written_out(seed):
    points = lumps(seed, 100)
    scores = np.random.default_rng(seed).uniform(-0.5, 1, 100)
    rows = table(points, COLUMN, margin=pa.array(scores))
    assert picks(D2Pruning().select(rows, "30%")) == plain_d2(scores, points, 30)
    chosen = picks(D2Pruning().select(rows, "30%", include=["00004", "00090"]))
    assert chosen == [4, 90, *plain_d2(scores, points, 28, (4, 90))]


def test_another_score_can_decide():
    points = lumps(3, 60)
    rng = np.random.default_rng(3)
    margin, el2n = rng.uniform(size=60), rng.uniform(size=60)
    rows = table(points, COLUMN, margin=pa.array(margin), el2n=pa.array(el2n))
    assert picks(D2Pruning(score="el2n").select(rows, 20)) == plain_d2(el2n, points, 20)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), budget=st.integers(0, 45))
def test_the_budget_is_exact_and_the_order_of_rows_changes_nothing(seed, budget):
    rng = np.random.default_rng(seed)
    rows = table(lumps(seed, 40), COLUMN, margin=pa.array(rng.normal(size=40)))
    check_promises(D2Pruning(), rows, COLUMN, rng, budget)


def test_a_model_is_needed_and_settings_are_checked_at_once():
    with pytest.raises(UsageError, match="d2"):
        D2Pruning().scorers(Models())
    with pytest.raises(UsageError, match="neighbours"):
        D2Pruning(neighbours=0)
    assert D2Pruning().describe()["name"] == "d2"
