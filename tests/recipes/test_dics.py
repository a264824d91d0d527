"""DICS from the losses of its four contexts, against its formulas and plain farthest points."""

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_methods import plain_dics
from scored_vectors import check_promises, picks, table

from hf_select.errors import UsageError
from hf_select.recipes.dics import DICS
from hf_select.recipes.recipe import Models

COLUMN = "last_hidden"
CONTEXTS = ("full", "no_image", "inverse", "inverse_no_answer")


def pool(seed, n=60):
    rng = np.random.default_rng(seed)
    facts = {f"loss_{context}": pa.array(rng.gamma(2, 5, n)) for context in CONTEXTS}
    facts |= {f"tokens_{context}": pa.array(rng.integers(1, 9, n)) for context in CONTEXTS}
    return table(rng.normal(size=(n, 6)) * 3 + 1, COLUMN, **facts)


@pytest.mark.parametrize("budget", [5, 29, 30, 31, 50])
def test_the_picks_are_those_of_the_formulas(budget):
    rows = pool(budget)
    fact = {name: rows[name].to_pylist() for name in rows.column_names}
    mean = {
        context: [a / n for a, n in zip(fact[f"loss_{context}"], fact[f"tokens_{context}"], strict=True)]
        for context in CONTEXTS
    }
    vic = [math.exp(a - b) for a, b in zip(mean["no_image"], mean["full"], strict=True)]
    ric = [math.exp(a - b) for a, b in zip(mean["inverse_no_answer"], mean["inverse"], strict=True)]
    dic = [min(pair) for pair in zip(vic, ric, strict=True)]
    chosen = DICS().select(rows, budget)
    assert picks(chosen) == plain_dics(dic, np.array(fact[COLUMN]), budget)
    np.testing.assert_allclose(chosen.table["score"].to_numpy(), [dic[at] for at in picks(chosen)], rtol=1e-6)


def test_rows_without_a_loss_are_left_out_with_their_reason():
    rows = pool(0)
    place = rows.column_names.index("loss_inverse")
    rows = rows.set_column(place, "loss_inverse", pa.array([None, float("nan"), *[3.0] * 58]))
    chosen = DICS().select(rows, 60)
    assert not {0, 1} & set(picks(chosen)) and len(chosen) == 58
    assert chosen.rejected == {"no score": 2}


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), budget=st.integers(0, 65))
def test_the_budget_is_exact_and_the_order_of_rows_changes_nothing(seed, budget):
    check_promises(DICS(), pool(seed), COLUMN, np.random.default_rng(seed), budget)


def test_a_model_is_needed():
    with pytest.raises(UsageError, match="dics"):
        DICS().scorers(Models())
