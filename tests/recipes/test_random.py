"""Random rows: uniform, seeded, and divided over tasks where that is asked for."""

import math
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_select.errors import UnknownName
from hf_select.recipes.random import RandomRows
from hf_select.recipes.recipe import Models

N = 60
BAD = {3, 30}


def pool():
    return pa.table(
        {
            "row_key": [f"{at:05d}" for at in range(N)],
            "row_task": ["large"] * 40 + ["middle"] * 15 + ["small"] * 5,
            "row_status": ["image_missing" if at in BAD else "ok" for at in range(N)],
        }
    )


@settings(max_examples=25)
@given(
    seed=st.integers(0, 10_000),
    budget=st.integers(0, N + 5),
    group=st.sampled_from([None, "row_task"]),
    shares=st.sampled_from(["proportional", "equal"]),
)
def test_the_budget_is_exact_and_the_order_of_rows_changes_nothing(seed, budget, group, shares):
    rows, rng, method = pool(), np.random.default_rng(seed), RandomRows(group=group, shares=shares)
    include = [f"{at:05d}" for at in rng.choice([1, 2, 55, 59], min(3, budget), replace=False).tolist()]
    chosen = method.select(rows, budget, seed=seed, include=include)
    assert len(chosen) == len(set(chosen.keys)) == min(budget, N - 2)
    assert list(chosen.keys[: len(include)]) == include
    assert not BAD & {int(key) for key in chosen.keys} and chosen.rejected == {"image_missing": 2}
    assert method.select(rows.take(rng.permutation(N)), budget, seed=seed, include=include).keys == chosen.keys


def test_every_row_is_as_likely_as_any_other_and_seeds_differ():
    counts = Counter(key for seed in range(400) for key in RandomRows().select(pool(), 15, seed=seed).keys)
    expected = 400 * 15 / (N - 2)
    spread = math.sqrt(expected * (1 - 15 / (N - 2)))
    assert len(counts) == N - 2
    assert all(abs(count - expected) < 4.5 * spread for count in counts.values())
    assert RandomRows().select(pool(), 15, seed=0).keys == RandomRows().select(pool(), 15, seed=0).keys


@pytest.mark.parametrize(
    ("shares", "budget", "wanted"),
    [
        ("proportional", 29, {"large": 19, "middle": 7, "small": 3}),  # 29 x (38, 15, 5) / 58 = 19, 7.5, 2.5
        ("equal", 12, {"large": 4, "middle": 4, "small": 4}),
        ("equal", 30, {"large": 13, "middle": 12, "small": 5}),
    ],
)
def test_each_task_gives_its_share(shares, budget, wanted):
    rows = pool()
    task = dict(zip(rows["row_key"].to_pylist(), rows["row_task"].to_pylist(), strict=True))
    chosen = RandomRows(group="row_task", shares=shares).select(rows, budget, seed=1)
    got = Counter(task[key] for key in chosen.keys)
    assert sum(got.values()) == budget
    assert all(abs(got[name] - n) <= 1 for name, n in wanted.items())


def test_nothing_has_to_be_scored_and_wrong_choices_are_refused():
    assert RandomRows().scorers(Models()) == ()
    assert RandomRows().cost.render() == "nothing"
    with pytest.raises(UnknownName):
        RandomRows(shares="fair")
    with pytest.raises(UnknownName):
        RandomRows(duplicates="some")


def test_copies_are_dropped_unless_kept():
    twice = pa.concat_tables([pool(), pool()])
    assert len(RandomRows().select(twice, 200)) == N - 2
    assert len(RandomRows(duplicates="keep").select(twice, 200)) == 2 * (N - 2)
