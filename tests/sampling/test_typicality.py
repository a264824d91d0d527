"""TypicalitySampler against a plain loop that computes every typicality anew, and its own promises."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_similarity import lumps, plain_typiclust
from scored_vectors import check_promises, picks, table

from hf_select.errors import UsageError
from hf_select.sampling import typicality
from hf_select.sampling.typicality import TypicalitySampler, cluster_turns, typical_rows

COLUMN = "embedding"


@pytest.mark.parametrize("budget", [1, 6, 40, 90])
@pytest.mark.parametrize("included", [(), (0, 5, 45, 60)])
def test_the_rows_are_those_of_the_plain_loop(budget, included):
    points = lumps(budget)
    left = budget - len(included)
    if left < 0:
        included, left = included[:budget], 0
    chosen = TypicalitySampler(max_clusters=7, neighbours=4).select(
        table(points, COLUMN), budget, include=[f"{at:05d}" for at in included]
    )
    assert picks(chosen) == [*included, *plain_typiclust(points, left, included, 7, 4)]


def test_many_picks_from_one_large_cluster(monkeypatch):
    monkeypatch.setattr(typicality, "BLOCK_BYTES", 5000)
    points = lumps(1, 120)
    chosen = TypicalitySampler(max_clusters=1).select(table(points, COLUMN), 120)
    assert picks(chosen) == plain_typiclust(points, 120, most_clusters=1)


def test_typicality_worked_out_by_hand():
    angles = np.radians([0, 10, 30, 180])
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    picked, found = typical_rows(points, 4, 20)
    chord = 2 * np.sin(np.radians([5, 10, 75, 90]) / 1)
    # Two neighbours each: the row at 10 degrees has chords of 10 and 20 degrees.
    assert picked.tolist() == [1, 0, 2, 3]
    assert found[1] == pytest.approx(1 / ((chord[0] + chord[1]) / 2 + 1e-5))
    assert found[0] == pytest.approx(1 / (2 * np.sin(np.radians(15)) + 1e-5))
    assert found[2] == pytest.approx(1 / (chord[2] + 1e-5))
    assert np.isnan(found[3])


def test_turns_go_to_the_fewest_chosen_then_the_largest():
    sizes, has = np.array([9, 12, 7, 3]), np.array([9, 12, 5, 3])
    # Cluster 2 has two chosen rows already; cluster 3 is small and waits until all others are used up.
    assert cluster_turns(sizes, has, 9, small=5).tolist() == [1, 0, 1, 0, 1, 0, 2, 1, 0]
    turns = cluster_turns(sizes, has, 99, small=5)
    assert np.bincount(turns).tolist() == has.tolist()
    assert turns[-3:].tolist() == [3, 3, 3]


def test_the_last_row_of_a_cluster_has_no_score():
    chosen = TypicalitySampler(small=0).select(table(np.eye(3), COLUMN), 3)
    assert chosen.table["score"].null_count == 3


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), budget=st.integers(0, 45), clusters=st.sampled_from([1, 6, 500]))
def test_the_budget_is_exact_and_the_order_of_rows_changes_nothing(seed, budget, clusters):
    rng = np.random.default_rng(seed)
    check_promises(TypicalitySampler(max_clusters=clusters), table(lumps(seed, 40), COLUMN), COLUMN, rng, budget)


def test_pools_of_no_row_and_of_one():
    assert picks(TypicalitySampler().select(table([], COLUMN), "50%")) == []
    assert picks(TypicalitySampler().select(table([[3.0, 4.0]], COLUMN), 1)) == [0]


def test_a_budget_in_tokens_is_refused():
    with pytest.raises(UsageError, match="share or rows"):
        TypicalitySampler().select(table(np.eye(3), COLUMN, n_tokens=pa.array([5, 5, 5])), "10 tokens")


@pytest.mark.parametrize("setting", [{"max_clusters": 0}, {"neighbours": 0}, {"small": -1}])
def test_wrong_settings_are_refused(setting):
    with pytest.raises(UsageError, match=next(iter(setting))):
        TypicalitySampler(**setting)
