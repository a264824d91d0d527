"""VisNec from losses and first questions, against its formula and a plain choice in each cluster."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_methods import by_cluster
from scored_vectors import check_promises, picks, table

from hf_select.errors import UsageError
from hf_select.recipes.recipe import Models
from hf_select.recipes.visnec import VisNec
from hf_select.sampling.kmeans import KMeansGroups

COLUMN = "text_embedding"


def pool(seed, n=80):
    rng = np.random.default_rng(seed)
    facts = {f"loss_{context}": pa.array(rng.gamma(2, 5, n)) for context in ("full", "no_image")}
    facts |= {f"tokens_{context}": pa.array(rng.integers(1, 9, n)) for context in ("full", "no_image")}
    return table(rng.normal(size=(n, 6)) + rng.integers(0, 5, n)[:, None], COLUMN, **facts)


@pytest.mark.parametrize("budget", [7, 30, 77])
def test_the_picks_are_those_of_the_formula(budget):
    rows = pool(budget)
    fact = {name: rows[name].to_pylist() for name in rows.column_names}
    visual = [
        a / m - b / n
        for a, m, b, n in zip(
            fact["loss_no_image"], fact["tokens_no_image"], fact["loss_full"], fact["tokens_full"], strict=True
        )
    ]
    points = np.array(fact[COLUMN], dtype=np.float32)
    codes = KMeansGroups(k=6).assign(points, fact["row_key"], seed=2).codes.tolist()
    chosen = VisNec(clusters=6).select(rows, budget, seed=2)
    quota = [part.quota for part in chosen.quotas]
    share = [budget * codes.count(code) / len(codes) for code in range(6)]
    assert sum(quota) == budget
    assert all(max(1, int(part)) <= n <= int(part) + 1 for part, n in zip(share, quota, strict=True))
    assert picks(chosen) == by_cluster(visual, codes, quota)
    found = chosen.table["score"].to_numpy()
    np.testing.assert_allclose(found, [visual[at] for at in picks(chosen)], rtol=1e-6)


def test_rows_without_a_loss_are_left_out_with_their_reason():
    rows = pool(0)
    rows = rows.set_column(
        rows.column_names.index("loss_full"), "loss_full", pa.array([None, float("nan"), *[3.0] * 78])
    )
    chosen = VisNec().select(rows, 80)
    assert not {0, 1} & set(picks(chosen)) and len(chosen) == 78
    assert chosen.rejected == {"no score": 2}


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), budget=st.integers(0, 85))
def test_the_budget_is_exact_and_the_order_of_rows_changes_nothing(seed, budget):
    check_promises(VisNec(), pool(seed), COLUMN, np.random.default_rng(seed), budget)


def test_copies_are_dropped_unless_kept():
    rows = pool(0, 20)
    twice = pa.concat_tables([rows, rows])
    assert len(VisNec().select(twice, 40)) == 20
    assert len(VisNec(duplicates="keep").select(twice, 40)) == 40


def test_a_model_is_needed_and_its_settings_are_checked():
    with pytest.raises(UsageError, match="visnec"):
        VisNec().scorers(Models())
    with pytest.raises(UsageError, match="number of groups"):
        VisNec(clusters=0)
