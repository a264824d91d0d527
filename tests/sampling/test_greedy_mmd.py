"""GreedyMMDSampler against golden budgets of the published functions, and plain loops over all pairs."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_methods import plain_coincide, plain_mmd, plain_transfer
from scored_vectors import check_promises, picks, table

from hf_select.errors import UnknownName, UsageError
from hf_select.sampling.allocation import Allocation
from hf_select.sampling.greedy_mmd import (
    GreedyMMDSampler,
    cluster_shares,
    greedy_mmd,
    mean_kernel,
    sequential_quotas,
    transferability,
)

COLUMN = "coincide_hidden"


@pytest.mark.parametrize(("sizes", "wanted"), [([100] * 4, [17, 34, 20, 9]), ([100, 20, 10, 100], [32, 20, 10, 18])])
@pytest.mark.parametrize("exact", [True, False])
def test_golden_budgets_of_the_published_code(sizes, wanted, exact):
    shares = cluster_shares(np.array([0.5, 0.5, 0.4, 0.3]), np.array([0.9, 0.8, 0.7, 0.6]), 0.1)
    assert sequential_quotas(shares, np.array(sizes), 80, exact=exact).tolist() == wanted


def test_a_shortfall_at_the_end_is_left_by_the_paper_and_spent_by_safe():
    shares, sizes = np.array([0.6, 0.3, 0.1]), np.array([50, 50, 2])
    assert sequential_quotas(shares, sizes, 40, exact=False).tolist() == [24, 12, 2]
    assert sequential_quotas(shares, sizes, 40).tolist() == [25, 13, 2]
    assert sequential_quotas(shares, sizes, 500).tolist() == [50, 50, 2]


def test_shares_beyond_floating_point_still_divide():
    shares = cluster_shares(np.array([0.9, 0.1, 0.0]), np.array([0.5, 0.5, 0.5]), 1e-4)
    assert (shares > 0).all()
    quota = sequential_quotas(shares, np.array([3, 3, 3]), 8)
    assert quota[0] == 3 and quota.sum() == 8


@pytest.mark.parametrize("taken", [[], [3, 17]])
def test_greedy_mmd_is_that_of_the_whole_objective(taken):
    points = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32) * 0.5
    drawable = np.ones(30, dtype=bool)
    drawable[taken] = False
    found = greedy_mmd(points, mean_kernel(points), 28, drawable)
    assert found.tolist() == plain_mmd(points, 28, taken)


def test_exact_copies_are_taken_in_order():
    points = np.random.default_rng(0).normal(size=(50, 64)).astype(np.float32)
    both = np.vstack([points, points])
    place = {row: at for at, row in enumerate(greedy_mmd(both, mean_kernel(both), 100).tolist())}
    assert all(place[at] < place[at + 50] for at in range(50))


def test_the_mean_kernel_of_one_row_is_one():
    assert mean_kernel(np.array([[3.0, 4.0]])).tolist() == [1.0]


def test_transferability_looks_at_language_alone_and_not_at_those_alike():
    centroids = np.random.default_rng(4).normal(size=(12, 4))
    centroids[3, 2:] = centroids[5, 2:] * 2
    centroids[7, 2:] = 0
    np.testing.assert_allclose(transferability(centroids), plain_transfer(centroids), atol=1e-6)
    assert transferability(centroids[[3, 5]]).tolist() == [0.0, 0.0]
    other = centroids.copy()
    other[:, :2] = 1
    assert transferability(other).tolist() == transferability(centroids).tolist()
    with_empty = np.vstack([centroids, np.full((1, 4), np.nan)])
    assert transferability(with_empty).tolist() == [*transferability(centroids).tolist(), 0.0]


def pool(seed, n=90):
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(5, 8))
    points = centres[rng.integers(0, 5, n)] + rng.normal(size=(n, 8)) * 0.4
    halves = points.reshape(n, 2, 4)
    return (halves / np.linalg.norm(halves, axis=2, keepdims=True)).reshape(n, 8).astype(np.float32) / np.float32(
        2**0.5
    )


@pytest.mark.parametrize("budget", [5, 30, 80])
@pytest.mark.parametrize("preset", ["safe", "paper"])
def test_the_whole_choice_is_that_of_plain_loops(budget, preset):
    points = pool(budget)
    chosen = GreedyMMDSampler(clusters=6, preset=preset).select(table(points, COLUMN), budget)
    assert picks(chosen) == plain_coincide(points, 6, budget, preset == "safe")


def test_included_rows_stand_for_their_cluster():
    points = np.array([[1.0, 0], [0.99, 0.01], [-1.0, 0], [-0.99, 0.01]], dtype=np.float32)
    rows = table(points, COLUMN)
    for row in range(4):
        chosen = picks(GreedyMMDSampler(clusters=1).select(rows, 2, include=[f"{row:05d}"]))
        assert chosen[0] == row and (chosen[1] < 2) != (row < 2)


def test_a_budget_in_tokens():
    rows = table(pool(0), COLUMN, n_tokens=pa.array([10] * 90))
    sampler = GreedyMMDSampler(clusters=6)
    assert sorted(picks(sampler.select(rows, "200 tokens"))) == sorted(set(picks(sampler.select(rows, "200 tokens"))))
    assert len(sampler.select(rows, "200 tokens")) == 20


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), budget=st.integers(0, 95), clusters=st.sampled_from([1, 4, 0.1, 200]))
def test_the_budget_is_exact_and_the_order_of_rows_changes_nothing(seed, budget, clusters):
    rng = np.random.default_rng(seed)
    check_promises(GreedyMMDSampler(clusters=clusters), table(pool(seed), COLUMN), COLUMN, rng, budget)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"preset": "papers"}, UnknownName),
        ({"temperature": 0}, UsageError),
        ({"clusters": 2.5}, UsageError),
        ({"allocation": Allocation(weights="equal")}, UsageError),
    ],
)
def test_bad_settings_are_refused(options, error):
    with pytest.raises(error):
        GreedyMMDSampler(**options)
