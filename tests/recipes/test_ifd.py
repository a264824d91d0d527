"""IFD against its ratio written out: rows above 1 go, then the largest."""

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_select.errors import UsageError
from hf_select.recipes.ifd import IFD
from hf_select.recipes.recipe import Models


def pool(seed, n=40):
    rng = np.random.default_rng(seed)
    columns = {
        "row_key": pa.array([f"{at:05d}" for at in range(n)]),
        "row_task": pa.array([f"t{at % 3}" for at in range(n)]),
        "row_status": pa.array(["ok"] * n),
    }
    for context in ("full", "no_question"):
        columns[f"loss_{context}"] = pa.array(rng.gamma(2, 4, n).round(1) + (context == "no_question") * 2)
        columns[f"tokens_{context}"] = pa.array(rng.integers(1, 5, n))
    losses = columns["loss_full"].to_pylist()
    columns["loss_full"] = pa.array([None, math.nan, *losses[2:]])
    zeros = columns["loss_no_question"].to_pylist()
    columns["loss_no_question"] = pa.array([*zeros[:2], 0.0, *zeros[3:]])
    return pa.table(columns)


def plain(rows):
    fact = {name: rows[name].to_pylist() for name in rows.column_names}
    ratios = {}
    for at in range(3, len(rows)):  # The first three have no ratio: null, NaN, division by 0.
        with_q = fact["loss_full"][at] / fact["tokens_full"][at]
        ratios[at] = with_q / (fact["loss_no_question"][at] / fact["tokens_no_question"][at])
    return ratios


def picks(chosen):
    return [int(key) for key in chosen.keys]


@pytest.mark.parametrize("seed", range(4))
def test_rows_above_one_go_and_the_largest_of_the_others_come_first(seed):
    rows = pool(seed)
    ratios = plain(rows)
    good = sorted((at for at in ratios if ratios[at] <= 1), key=lambda at: (-ratios[at], at))
    above = len(ratios) - len(good)
    assert above
    chosen = IFD().select(rows, 8)
    assert picks(chosen) == good[:8]
    assert chosen.rejected == {"no score": 3, "above 1": above}
    np.testing.assert_allclose(chosen.table["score"].to_numpy(), [ratios[at] for at in good[:8]], rtol=1e-6)
    every = IFD().select(rows, 40)
    assert picks(every) == good and any("short" in note for note in every.notes)


def test_another_limit_or_none():
    rows = pool(1)
    ratios = plain(rows)
    ranked = sorted(ratios, key=lambda at: (-ratios[at], at))
    assert picks(IFD(limit=None).select(rows, 10)) == ranked[:10]
    assert picks(IFD(limit=0.5).select(rows, 5)) == [at for at in ranked if ratios[at] <= 0.5][:5]
    with pytest.raises(UsageError, match="limit"):
        IFD(limit=math.nan)


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000), budget=st.integers(0, 45), group=st.sampled_from([None, "row_task"]))
def test_the_budget_is_exact_and_the_order_of_rows_changes_nothing(seed, budget, group):
    rows, rng = pool(seed), np.random.default_rng(seed)
    ratios = plain(rows)
    good = {at for at in ratios if ratios[at] <= 1}
    # A row that tuned the seed model stays chosen whatever its ratio is.
    include = [f"{at:05d}" for at in rng.choice(40, min(3, budget), replace=False).tolist()]
    chosen = IFD(group=group).select(rows, budget, include=include)
    able = good | {int(key) for key in include}
    assert len(chosen) == len(set(chosen.keys)) == min(budget, len(able))
    assert list(chosen.keys[: len(include)]) == include and set(picks(chosen)) <= able
    shuffled = IFD(group=group).select(rows.take(rng.permutation(40)), budget, include=include)
    assert shuffled.keys == chosen.keys


def test_what_it_needs():
    scorer = IFD().scorers(Models(model="org/vlm"))[0]
    assert scorer.contexts == ("full", "no_question")
    with pytest.raises(UsageError, match="ifd"):
        IFD().scorers(Models())
