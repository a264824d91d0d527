"""PRISM against the mean of all pairs."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_methods import by_pairs
from scored_vectors import check_promises, picks, table

from hf_select.errors import UnknownName, UsageError
from hf_select.recipes.prism import Prism
from hf_select.recipes.recipe import Models

COLUMN = "shallow_hidden"


def pool(seed, n=50):
    rng = np.random.default_rng(seed)
    return table(rng.normal(size=(n, 7)) + 2, COLUMN)


@pytest.mark.parametrize("budget", [1, 12, 50])
def test_the_picks_are_those_of_all_pairs(budget):
    rows = pool(budget)
    found = by_pairs(np.array(rows[COLUMN].to_pylist()))
    assert picks(Prism().select(rows, budget)) == np.argsort(found, kind="stable")[:budget].tolist()


def test_by_task_each_gives_its_own_lowest():
    rows = pool(0)
    found = by_pairs(np.array(rows[COLUMN].to_pylist()))
    chosen = picks(Prism(group="row_task").select(rows, 15))
    wanted = [sorted(range(task, 50, 3), key=lambda at: found[at])[:5] for task in range(3)]
    assert chosen == [at for part in wanted for at in part]


def test_rows_without_an_image_can_be_kept_as_the_paper_does():
    rows = pool(0, 6)
    vectors = [None, None, *rows[COLUMN].to_pylist()[2:]]
    rows = rows.set_column(3, COLUMN, pa.array(vectors, rows[COLUMN].type))
    rows = rows.append_column(f"{COLUMN}_status", pa.array(["no_image"] * 2 + ["ok"] * 4))
    assert set(picks(Prism(without_image="keep").select(rows, 2))) == {0, 1}
    assert not {0, 1} & set(picks(Prism().select(rows, 2)))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), budget=st.integers(0, 55))
def test_the_budget_is_exact_and_the_order_of_rows_changes_nothing(seed, budget):
    check_promises(Prism(), pool(seed), COLUMN, np.random.default_rng(seed), budget)


def test_a_model_is_needed_and_its_settings_are_checked():
    with pytest.raises(UsageError, match="prism"):
        Prism().scorers(Models())
    with pytest.raises(UnknownName):
        Prism(without_image="some")
