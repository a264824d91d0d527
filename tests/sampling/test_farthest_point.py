"""FarthestPointSampler against the plain loop over all distances."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_methods import plain_dics, plain_fps
from scored_vectors import check_promises, picks, table

from hf_select.errors import UsageError
from hf_select.sampling import farthest_point
from hf_select.sampling.farthest_point import FarthestPointSampler, farthest_points

COLUMN = "last_hidden"


@pytest.mark.parametrize("ahead", [1, 7, 512])
@pytest.mark.parametrize("given", [0, 4])
def test_the_points_are_those_of_the_plain_loop(monkeypatch, ahead, given):
    monkeypatch.setattr(farthest_point, "_AHEAD", ahead)
    monkeypatch.setattr(farthest_point, "_BLOCK", 25)
    rng = np.random.default_rng(ahead)
    centres = rng.normal(size=(6, 5)) * 4
    points = (centres[rng.integers(0, 6, 60)] + rng.normal(size=(60, 5)) + 20).astype(np.float32)
    chosen = rng.normal(size=(given, 5)).astype(np.float32)
    assert farthest_points(points, 40, chosen).tolist() == plain_fps(points, 40, chosen)


@pytest.mark.parametrize("ahead", [1, 3, 512])
def test_exact_copies_and_a_grid_full_of_ties_go_by_position(monkeypatch, ahead):
    monkeypatch.setattr(farthest_point, "_AHEAD", ahead)
    grid = np.array([[x, y] for x in range(5) for y in range(5)] * 2, dtype=np.float32)
    assert farthest_points(grid, 50).tolist() == plain_fps(grid, 50)


@pytest.mark.parametrize("budget", [0, 1, 7, 19, 20, 21, 33, 40])
def test_the_three_cases_of_the_ratio(budget):
    rng = np.random.default_rng(budget)
    points = rng.normal(size=(40, 4)).astype(np.float32)
    scores = np.round(rng.random(40), 1)
    rows = table(points, COLUMN, dic=pa.array(scores))
    assert picks(FarthestPointSampler().select(rows, budget)) == plain_dics(scores, points, budget)


def test_included_rows_are_kept_away_from():
    points = np.array([[1, 0], [1.1, 0], [5, 0], [5.1, 0], [1, 9], *[[1.05, 0]] * 5], dtype=np.float32)
    rows = table(points, COLUMN, dic=pa.array([1.0] * 5 + [0.0] * 5))
    assert picks(FarthestPointSampler().select(rows, 3)) == [4, 3, 0]
    assert picks(FarthestPointSampler().select(rows, 3, include=["00004"])) == [4, 3, 0]
    assert picks(FarthestPointSampler().select(rows, 3, include=["00002"])) == [2, 4, 0]


def test_the_ratio_is_of_the_rows_that_can_be_drawn():
    points = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    scores = [float(at) if at < 10 else None for at in range(20)]
    chosen = FarthestPointSampler().select(table(points, COLUMN, dic=pa.array(scores)), 5)
    assert picks(chosen) == [9, 8, 7, 6, 5]
    assert chosen.rejected == {"no score": 10}


def test_a_score_that_is_derived():
    points = np.random.default_rng(0).normal(size=(6, 2))
    facts = {"loss_full": [6.0, 5, 4, 3, 2, 1], "tokens_full": [1] * 6}
    rows = table(points, COLUMN, **{name: pa.array(values) for name, values in facts.items()})
    assert picks(FarthestPointSampler(score="loss").select(rows, 3)) == [0, 1, 2]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), budget=st.integers(0, 45))
def test_the_budget_is_exact_and_the_order_of_rows_changes_nothing(seed, budget):
    rng = np.random.default_rng(seed)
    rows = table(rng.normal(size=(40, 5)), COLUMN, dic=pa.array(rng.random(40)))
    check_promises(FarthestPointSampler(), rows, COLUMN, rng, budget)


def test_a_budget_in_tokens_is_refused():
    rows = table(np.eye(3), COLUMN, dic=pa.array([1.0, 2, 3]), n_tokens=pa.array([5, 5, 5]))
    with pytest.raises(UsageError, match="share or rows"):
        FarthestPointSampler().select(rows, "10 tokens")
