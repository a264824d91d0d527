"""Self-Sup prototypes against sorted distances to centroids."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_similarity import clusters_of, lumps, plain_prototypes
from scored_vectors import check_promises, picks, table

from hf_select.errors import UnknownName, UsageError
from hf_select.recipes.recipe import Models
from hf_select.recipes.self_sup import SelfSup

COLUMN = "last_hidden"


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("prefer", ["far", "near"])
def test_the_picks_are_those_of_the_sorted_distances(seed, prefer):
    points = lumps(seed, 100)
    for share, k in ((0.01, 1), (0.06, 6)):
        codes = clusters_of(points, k=k, spherical=True)
        chosen = SelfSup(clusters=share, prefer=prefer).select(table(points, COLUMN), "25%")
        assert picks(chosen) == plain_prototypes(points, codes, 25, prefer == "far")


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), budget=st.integers(0, 45))
def test_the_budget_is_exact_and_the_order_of_rows_changes_nothing(seed, budget):
    rng = np.random.default_rng(seed)
    check_promises(SelfSup(clusters=4), table(lumps(seed, 40), COLUMN), COLUMN, rng, budget)


def test_a_model_is_needed_and_settings_are_checked_at_once():
    with pytest.raises(UsageError, match="self_sup"):
        SelfSup().scorers(Models())
    with pytest.raises(UnknownName):
        SelfSup(prefer="middle")
    assert SelfSup().describe()["name"] == "self_sup"
