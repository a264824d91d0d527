"""SemDeDup against its rule written out, over all pairs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_similarity import clusters_of, lumps, plain_semdedup
from scored_vectors import check_promises, picks, table

from hf_select.errors import UnknownName, UsageError
from hf_select.recipes.recipe import Models
from hf_select.recipes.semdedup import SemDeDup

COLUMN = "last_hidden"


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("keep", ["hard", "easy"])
def test_the_picks_are_those_of_the_rule_written_out(seed, keep):
    points = lumps(seed, 100)
    # The default share: 1.5 % of 100 rows are one cluster; 8 % are eight.
    for share, k in ((0.015, 1), (0.08, 8)):
        codes = clusters_of(points, k=k, spherical=True, iterations=50)
        chosen = SemDeDup(clusters=share, keep=keep).select(table(points, COLUMN), "25%")
        assert picks(chosen) == plain_semdedup(points, codes, 25, keep == "hard")


def test_exact_copies_come_last_when_they_are_kept_as_rows():
    points = lumps(2, 40)
    rows = table(points, COLUMN)
    rows = rows.set_column(0, "row_key", [[f"{at - 20 if 20 <= at < 24 else at:05d}" for at in range(40)]])
    dropped = SemDeDup().select(rows, 40)
    assert len(dropped) == 36
    assert dropped.rejected == {"duplicate": 4}
    kept = SemDeDup(duplicates="keep").select(rows, 40)
    assert len(kept) == 40
    assert sum(score == pytest.approx(1) for score in kept.table["score"].to_pylist()[-4:]) == 4


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), budget=st.integers(0, 45))
def test_the_budget_is_exact_and_the_order_of_rows_changes_nothing(seed, budget):
    rng = np.random.default_rng(seed)
    check_promises(SemDeDup(clusters=4), table(lumps(seed, 40), COLUMN), COLUMN, rng, budget)


def test_a_model_is_needed_and_settings_are_checked_at_once():
    with pytest.raises(UsageError, match="semdedup"):
        SemDeDup().scorers(Models())
    with pytest.raises(UnknownName):
        SemDeDup(keep="both")
    with pytest.raises(UsageError, match="eps"):
        SemDeDup(eps=2)
    assert SemDeDup().describe()["name"] == "semdedup"
