"""SemDeDupSampler against the paper's rule for one eps, a plain loop, and its own promises."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_similarity import clusters_of, kept_by_eps, lumps, plain_semdedup, similar_before
from scored_vectors import check_promises, picks, table

from hf_select.errors import UnknownName, UsageError
from hf_select.sampling import semdedup
from hf_select.sampling.semdedup import SemDeDupSampler

COLUMN = "last_hidden"
K = {"k": 6, "spherical": True, "iterations": 50}


@pytest.mark.parametrize("keep", ["hard", "easy"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_rows_are_those_of_the_plain_loop(seed, keep):
    points = lumps(seed)
    codes = clusters_of(points, **K)
    sampler = SemDeDupSampler(clusters=6, keep=keep)
    for budget in (4, 30, 90):
        chosen = sampler.select(table(points, COLUMN), budget)
        assert picks(chosen) == plain_semdedup(points, codes, budget, keep == "hard")


@pytest.mark.parametrize("eps", [0.05, 0.2, 0.5])
def test_a_budget_of_what_one_eps_keeps_gives_the_papers_rows(eps):
    points = lumps(3)
    kept = kept_by_eps(points, clusters_of(points, **K), eps)
    assert set(picks(SemDeDupSampler(clusters=6).select(table(points, COLUMN), len(kept)))) == kept


def test_a_limit_leaves_the_budget_short_and_says_so():
    points = lumps(4)
    kept = kept_by_eps(points, clusters_of(points, **K), 0.1)
    chosen = SemDeDupSampler(clusters=6, eps=0.1).select(table(points, COLUMN), 90)
    assert set(picks(chosen)) == kept
    assert chosen.rejected == {"near duplicate": 90 - len(kept)}
    assert any("short" in note for note in chosen.notes)


def test_the_score_is_the_largest_similarity_to_an_earlier_row(monkeypatch):
    monkeypatch.setattr(semdedup, "BLOCK_BYTES", 500)
    points = lumps(5)
    wanted = similar_before(points, clusters_of(points, **K))
    chosen = SemDeDupSampler(clusters=6).select(table(points, COLUMN), 90)
    for at, score in zip(picks(chosen), chosen.table["score"].to_pylist(), strict=True):
        assert score == pytest.approx(-1 if wanted[at] is None else wanted[at], abs=1e-6)


def test_rows_like_an_included_row_come_last():
    points = lumps(6)
    included = [1, 40, 70]
    codes = clusters_of(points, **K)
    chosen = SemDeDupSampler(clusters=6).select(table(points, COLUMN), 40, include=[f"{at:05d}" for at in included])
    assert picks(chosen) == included + plain_semdedup(points, codes, 37, included=included)
    twin = SemDeDupSampler(clusters=1).select(table([[1, 0], [1, 0], [0, 1]], COLUMN), 2, include=["00001"])
    assert picks(twin) == [1, 2]


def test_groups_share_the_budget():
    chosen = SemDeDupSampler(clusters=6, group="row_task").select(table(lumps(7), COLUMN), 30)
    assert [quota.picked for quota in chosen.quotas] == [10, 10, 10]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), budget=st.integers(0, 45))
def test_the_budget_is_exact_and_the_order_of_rows_changes_nothing(seed, budget):
    rng = np.random.default_rng(seed)
    check_promises(SemDeDupSampler(clusters=4), table(lumps(seed, 40), COLUMN), COLUMN, rng, budget)


def test_pools_of_no_row_and_of_one():
    assert picks(SemDeDupSampler().select(table([], COLUMN), "50%")) == []
    assert picks(SemDeDupSampler().select(table([[3.0, 4.0]], COLUMN), 1)) == [0]
    assert picks(SemDeDupSampler().select(table([None, None], COLUMN), 1)) == []


@pytest.mark.parametrize("eps", [0, 1, -0.1, float("nan")])
def test_an_eps_that_is_no_distance_is_refused(eps):
    with pytest.raises(UsageError, match="eps"):
        SemDeDupSampler(eps=eps)


def test_an_unknown_side_is_refused():
    with pytest.raises(UnknownName, match="hard"):
        SemDeDupSampler(keep="both")
