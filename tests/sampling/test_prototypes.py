"""PrototypeSampler against a plain loop and its own promises."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_similarity import clusters_of, lumps, plain_prototypes, to_centroids
from scored_vectors import check_promises, picks, table

from hf_select.errors import UnknownName, UsageError
from hf_select.sampling.prototypes import PrototypeSampler, centroid_distances

COLUMN = "last_hidden"


@pytest.mark.parametrize("prefer", ["far", "near"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_rows_are_those_of_the_plain_loop(seed, prefer):
    points = lumps(seed)
    codes = clusters_of(points, k=6, spherical=True)
    chosen = PrototypeSampler(clusters=6, prefer=prefer).select(table(points, COLUMN), 30)
    assert picks(chosen) == plain_prototypes(points, codes, 30, prefer == "far")
    distance = to_centroids(points, codes)
    wanted = [distance[at] for at in picks(chosen)]
    assert chosen.table["score"].to_pylist() == pytest.approx(wanted, abs=1e-6)


def test_distances_worked_out_by_hand():
    points = np.array([[2, 0], [0, 3], [1, 1], [5, 0], [0, 1], [0, -1]], dtype=np.float32)
    found = centroid_distances(points, np.array([0, 0, 0, 1, 2, 2]))
    assert found.tolist() == pytest.approx([1 - 0.5**0.5, 1 - 0.5**0.5, 0, 0, 1, 1], abs=1e-9)


def test_included_rows_move_the_centroid_and_are_not_drawn_again():
    points = [[1, 0], [1, 0.1], [0, 1]]
    chosen = PrototypeSampler(clusters=1).select(table(points, COLUMN), 2, include=["00002"])
    assert picks(chosen) == [2, 0]


def test_groups_share_the_budget():
    chosen = PrototypeSampler(clusters=6, group="row_task").select(table(lumps(7), COLUMN), 30)
    assert [quota.picked for quota in chosen.quotas] == [10, 10, 10]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), budget=st.integers(0, 45), prefer=st.sampled_from(["far", "near"]))
def test_the_budget_is_exact_and_the_order_of_rows_changes_nothing(seed, budget, prefer):
    rng = np.random.default_rng(seed)
    check_promises(PrototypeSampler(clusters=4, prefer=prefer), table(lumps(seed, 40), COLUMN), COLUMN, rng, budget)


def test_pools_of_no_row_and_of_one():
    assert picks(PrototypeSampler().select(table([], COLUMN), "50%")) == []
    assert picks(PrototypeSampler().select(table([[3.0, 4.0]], COLUMN), 1)) == [0]


def test_wrong_settings_are_refused():
    with pytest.raises(UnknownName, match="far"):
        PrototypeSampler(prefer="middle")
    with pytest.raises(UsageError, match="share"):
        PrototypeSampler(clusters=0)
