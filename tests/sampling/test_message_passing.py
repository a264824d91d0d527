"""MessagePassingSampler against a plain loop over all pairs and all gains, and its own promises."""

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_similarity import lumps, plain_d2
from scored_vectors import check_promises, picks, table

from hf_select.errors import UsageError
from hf_select.sampling.message_passing import MessagePassingSampler, message_order, nearest_neighbours

COLUMN = "last_hidden"


def scored(points, scores):
    return table(points, COLUMN, margin=pa.array(scores, pa.float64()))


@pytest.mark.parametrize("included", [(), (3, 50, 80)])
@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_the_rows_are_those_of_the_plain_loop(seed, included):
    points = lumps(seed)
    scores = np.random.default_rng(seed).uniform(-0.3, 1, 90)
    chosen = MessagePassingSampler().select(scored(points, scores), 60, include=[f"{at:05d}" for at in included])
    assert picks(chosen) == [*included, *plain_d2(scores, points, 60 - len(included), included)]


@pytest.mark.parametrize("settings_", [(1, 0.0, 0.0), (3, 2.0, 5.0), (89, 0.5, 0.1), (500, 0.5, 0.1)])
def test_other_settings(settings_):
    k, forward, reverse = settings_
    points = lumps(9)
    scores = np.random.default_rng(9).uniform(0, 1, 90)
    sampler = MessagePassingSampler(neighbours=k, gamma_forward=forward, gamma_reverse=reverse)
    assert picks(sampler.select(scored(points, scores), 40)) == plain_d2(scores, points, 40, (), k, forward, reverse)


def test_gains_worked_out_by_hand():
    points = [[1, 0], [0, 1], [-1, 0]]
    chosen = MessagePassingSampler(neighbours=1).select(scored(points, [1.0, 0.5, 0.9]), 3)
    # Row 1 lies at sqrt(2) from both others and sends to and hears from the first; both others hear from row 1.
    far = math.sqrt(2)
    gains = [1 + math.exp(-far) * 0.5, 0.9 + math.exp(-far) * 0.5]
    last = 0.5 + math.exp(-far) - math.exp(-0.4 * far) * sum(gains)
    assert picks(chosen) == [0, 2, 1]
    assert chosen.table["score"].to_pylist() == pytest.approx([*gains, last])


def test_a_discount_below_zero_raises_a_neighbour():
    order, gains = message_order(
        np.array([5.0, -1.0, -1.5, -1.2]),
        np.array([[1], [2], [0], [0]]),
        np.array([[0.0], [1.0], [1.0], [1.0]]),
        np.zeros(4, dtype=bool),
    )
    assert order.tolist() == [0, 1, 2, 3]
    assert gains.tolist() == pytest.approx([5, -1, -0.5, -1.2])


@pytest.mark.parametrize("floor", [0.0, 1e-7, 0.5])
def test_sel_23_a_discount_never_raises_a_neighbour_whose_score_is_below_zero(floor):
    points = [[1.0, 0.0], [0.9, math.sqrt(1 - 0.9**2)]]
    sampler = MessagePassingSampler(floor=floor, gamma_forward=0.0, gamma_reverse=1.0)
    first, second = sampler.select(scored(points, [-1.0, -1.1]), 2).table["score"].to_pylist()
    assert first == pytest.approx(2 * floor)
    assert second == pytest.approx(first - first * math.exp(-math.sqrt(2 - 2 * 0.9)), abs=1e-6)
    assert second <= first


def test_neighbours_of_copies_are_their_copies_at_distance_zero():
    points = np.array([[1, 1]] * 30 + [[1, 0]], dtype=np.float32)
    found, distance = nearest_neighbours(points, 3)
    assert not (found == np.arange(31)[:, None]).any()
    assert (distance[:30] == 0).all()
    assert distance[30] == pytest.approx([2 * math.sin(math.pi / 8)] * 3)


def test_included_rows_without_a_score_are_not_in_the_graph():
    points = lumps(2)
    scores = np.random.default_rng(2).uniform(0, 1, 90).tolist()
    without = [at for at in range(90) if at != 7]
    rows = scored(points, [None if at == 7 else score for at, score in enumerate(scores)])
    chosen = MessagePassingSampler().select(rows, 31, include=["00007"])
    wanted = plain_d2([scores[at] for at in without], points[without], 30)
    assert picks(chosen) == [7, *(without[at] for at in wanted)]


def test_rows_without_a_score_are_never_chosen_and_counted():
    scores = [None if at % 2 else 0.5 for at in range(90)]
    chosen = MessagePassingSampler().select(scored(lumps(3), scores), 60)
    assert len(chosen) == 45
    assert not any(at % 2 for at in picks(chosen))
    assert chosen.rejected == {"no score": 45}


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), budget=st.integers(0, 45))
def test_the_budget_is_exact_and_the_order_of_rows_changes_nothing(seed, budget):
    rng = np.random.default_rng(seed)
    check_promises(MessagePassingSampler(), scored(lumps(seed, 40), rng.normal(size=40)), COLUMN, rng, budget)


def test_pools_of_no_row_and_of_one():
    assert picks(MessagePassingSampler().select(scored([], []), "50%")) == []
    assert picks(MessagePassingSampler().select(scored([[3.0, 4.0]], [0.1]), 1)) == [0]


@pytest.mark.parametrize(
    "setting", [{"neighbours": 0}, {"gamma_forward": -1}, {"gamma_reverse": float("inf")}, {"floor": -0.1}]
)
def test_wrong_settings_are_refused(setting):
    with pytest.raises(UsageError, match=next(iter(setting))):
        MessagePassingSampler(**setting)
