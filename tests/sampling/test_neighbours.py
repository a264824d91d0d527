import numpy as np
import pytest

from hf_select.errors import UsageError
from hf_select.sampling import neighbours
from hf_select.sampling.neighbours import NeighbourCentrality


def angles(*degrees):
    radians = np.radians(degrees)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


POINTS = angles(0, 2, 4, 6, 30, 32, 60, 90, 92, 94, 180, 270)
CLUSTERS = np.array([0] * 7 + [1] * 3 + [2] * 2)


def test_golden_values_of_the_published_code():
    scores = NeighbourCentrality().score(POINTS, CLUSTERS)
    wanted = [0.9411, 0.9491, 0.9556, 0.9608, 0.9121, 0.9060, 0.6852, 0.9985, 0.9994, 0.9985, 0.0, 0.0]
    assert scores == pytest.approx(wanted, abs=5e-5)


def test_a_row_is_left_out_by_index_so_that_a_copy_counts():
    scores = NeighbourCentrality(k=1).score(angles(0, 0, 90), np.zeros(3, dtype=int))
    assert scores == pytest.approx([1.0, 1.0, 0.0], abs=1e-6)


def test_alone_in_a_group_or_without_a_vector_a_row_has_no_score():
    points = np.vstack([POINTS[:3], np.full((1, 2), np.nan, dtype=np.float32), np.zeros((1, 2), dtype=np.float32)])
    scores = NeighbourCentrality().score(points, np.array([0, 0, 1, 0, 0]))
    assert np.isfinite(scores).tolist() == [True, True, False, False, False]
    assert not np.isfinite(NeighbourCentrality().score(POINTS, np.full(12, -1))).any()


def test_exact_copies_have_equal_scores_to_the_last_digit():
    points = np.random.default_rng(0).normal(size=(333, 768)).astype(np.float32)
    scores = NeighbourCentrality().score(np.vstack([points, points]), np.zeros(666, dtype=int))
    assert (scores[:333] == scores[333:]).all()


def test_rows_that_are_not_available_are_no_neighbours():
    available = np.ones(12, dtype=bool)
    available[[1, 8]] = False
    scores = NeighbourCentrality().score(POINTS, CLUSTERS, available)
    assert np.isnan(scores[[1, 8]]).all()
    rest = np.flatnonzero(available)
    assert scores[rest] == pytest.approx(NeighbourCentrality().score(POINTS[rest], CLUSTERS[rest]))


def test_length_of_the_vectors_does_not_matter():
    stretched = POINTS * np.arange(1, 13)[:, None]
    one, other = (NeighbourCentrality().score(p, CLUSTERS) for p in (POINTS, stretched))
    assert one == pytest.approx(other, abs=1e-6)


def test_neither_blocks_nor_the_order_of_rows_matter(monkeypatch):
    rng = np.random.default_rng(0)
    points, groups = rng.normal(size=(300, 16)).astype(np.float32), rng.integers(0, 3, 300)
    whole = NeighbourCentrality().score(points, groups)
    monkeypatch.setattr(neighbours, "BLOCK_BYTES", 4 * 100 * 7)
    assert NeighbourCentrality().score(points, groups) == pytest.approx(whole, abs=1e-6)
    order = rng.permutation(300)
    assert NeighbourCentrality().score(points[order], groups[order]) == pytest.approx(whole[order], abs=1e-6)


def test_num_26_close_features_are_told_apart_in_float32():
    features = np.array([[1.0, 0.0], [0.9999, 0.0141], [0.9998, 0.02]], dtype=np.float16)
    scores = NeighbourCentrality(k=1).score(features, np.zeros(3, dtype=int))
    assert scores.dtype == np.float64
    exact = NeighbourCentrality(k=1).score(features.astype(np.float64), np.zeros(3, dtype=int))
    assert scores == pytest.approx(exact, abs=1e-6)
    assert scores[0] < scores[1] == pytest.approx(scores[2])


def test_what_can_not_be_scored_is_refused():
    with pytest.raises(UsageError, match="at least 1"):
        NeighbourCentrality(k=0)
    with pytest.raises(UsageError, match="12 vectors, 3 groups"):
        NeighbourCentrality().score(POINTS, np.zeros(3, dtype=int))


@pytest.mark.parametrize("copies", [0, 12])
def test_the_index_of_large_groups_gives_the_same_numbers(monkeypatch, copies):
    rng = np.random.default_rng(4)
    points = rng.normal(size=(400, 16)).astype(np.float32)
    points[:copies] = points[0]
    groups = rng.integers(0, 2, 400)
    by_product = NeighbourCentrality().score(points, groups)
    monkeypatch.setattr(neighbours, "INDEX_FROM", 2)
    by_index = NeighbourCentrality().score(points, groups)
    assert by_index == pytest.approx(by_product, abs=1e-6)
    assert len(set(by_index[:copies][groups[:copies] == 0].tolist())) <= 1
