"""TypiClust against turns and typicalities computed anew at every step."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_similarity import lumps, plain_typiclust
from scored_vectors import check_promises, picks, table

from hf_select.errors import UsageError
from hf_select.recipes.recipe import Models
from hf_select.recipes.typiclust import TypiClust

COLUMN = "embedding"


@pytest.mark.parametrize("budget", [3, 30])
@pytest.mark.parametrize("included", [(), (2, 55)])
def test_the_picks_are_those_of_the_steps_written_out(budget, included):
    points = lumps(budget, 100)
    chosen = TypiClust().select(table(points, COLUMN), budget, include=[f"{at:05d}" for at in included])
    assert picks(chosen) == [*included, *plain_typiclust(points, budget - len(included), included)]


def test_rare_pictures_wait_until_common_ones_are_used_up():
    rng = np.random.default_rng(0)
    common = np.concatenate([centre + 0.01 * rng.normal(size=(10, 3)) for centre in np.eye(3)])
    rare = -np.eye(3)[:1] + 0.001 * rng.normal(size=(4, 3))
    rows = table(np.concatenate([rare, common]), COLUMN)
    chosen = picks(TypiClust(max_clusters=4).select(rows, 32))
    assert set(chosen[:30]) == set(range(4, 34))
    assert set(chosen[30:]) <= set(range(4))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), budget=st.integers(0, 45))
def test_the_budget_is_exact_and_the_order_of_rows_changes_nothing(seed, budget):
    rng = np.random.default_rng(seed)
    check_promises(TypiClust(max_clusters=6), table(lumps(seed, 40), COLUMN), COLUMN, rng, budget)


def test_it_needs_image_features_alone():
    (scorer,) = TypiClust().scorers(Models(image_encoder="some/encoder"))
    assert scorer.model == "some/encoder"
    assert not TypiClust.cost.instructions
    with pytest.raises(UsageError, match="neighbours"):
        TypiClust(neighbours=0)
    assert TypiClust().describe()["name"] == "typiclust"
