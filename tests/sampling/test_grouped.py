import random

import numpy as np
import pyarrow as pa
import pytest
import scored_vectors
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_methods import by_cluster

from hf_select import Allocation, GroupedSampler
from hf_select.errors import UnknownName, UsageError
from hf_select.sampling.kmeans import KMeansGroups


def test_quota_follows_the_mean_rank_of_the_bin(scored):
    table = scored([float(i) for i in range(100)], keys=[f"k{i:03d}" for i in range(100)])
    picked = GroupedSampler(score="score", bins=4).select(table, 32)
    assert [(q.group, q.available, q.quota) for q in picked.quotas] == [
        ("bin 1", 25, 2),
        ("bin 2", 25, 6),
        ("bin 3", 25, 10),
        ("bin 4", 25, 14),
    ]
    np.testing.assert_allclose([q.weight for q in picked.quotas], [1 / 16, 3 / 16, 5 / 16, 7 / 16])
    flat = GroupedSampler(score="score", bins=4, alpha=0).select(table, 32)
    assert [q.quota for q in flat.quotas] == [8] * 4
    steep = GroupedSampler(score="score", bins=4, alpha=4).select(table, 50)
    assert [q.quota for q in steep.quotas][-1] == 25 and len(steep) == 50


def test_draw_inside_bins_depends_on_the_seed_and_not_on_the_order(scored):
    keys = [f"k{i:03d}" for i in range(200)]
    scores = [float(i % 50) for i in range(200)]
    sampler = GroupedSampler(score="score")
    picked = sampler.select(scored(scores, keys=keys), "25%", seed=1)
    order = random.Random(5).sample(range(200), 200)
    again = sampler.select(scored([scores[i] for i in order], keys=[keys[i] for i in order]), "25%", seed=1)
    assert again == picked
    assert set(sampler.select(scored(scores, keys=keys), "25%", seed=2).keys) != set(picked.keys)


def test_all_scores_equal_spreads_the_budget_evenly(scored):
    picked = GroupedSampler(score="score", bins=5).select(scored([1.0] * 50), 20)
    assert [q.quota for q in picked.quotas] == [4] * 5


def test_top_inside_and_drop_top(scored):
    table = scored([float(i) for i in range(20)], keys=[f"k{i:02d}" for i in range(20)])
    picked = GroupedSampler(score="score", bins=2, alpha=0, within="top").select(table, 4)
    assert picked.keys == ("k09", "k08", "k19", "k18")
    trimmed = GroupedSampler(score="score", bins=2, alpha=0, within="top", drop_top=0.1).select(table, 4)
    assert trimmed.keys == ("k08", "k07", "k17", "k16")
    assert trimmed.rejected == {"drop_top": 2}


def test_groups_by_column_and_by_column_and_bins(scored):
    scores = [float(i) for i in range(12)]
    table = scored(scores, keys=[f"k{i:02d}" for i in range(12)], tasks=["easy"] * 4 + ["hard"] * 8)
    picked = GroupedSampler(score="score", groups="column:row_task").select(table, 6)
    assert {q.group: q.quota for q in picked.quotas} == {"easy": 1, "hard": 5}  # mean ranks 1/6 and 2/3
    sized = GroupedSampler(score="score", groups="column:row_task", allocation=Allocation(), alpha=0).select(table, 6)
    assert {q.group: q.quota for q in sized.quotas} == {"easy": 2, "hard": 4}
    crossed = GroupedSampler(score="score", groups="column:row_task*score_bins", bins=3, alpha=0).select(table, 8)
    assert {q.group: (q.available, q.quota) for q in crossed.quotas} == {
        "easy / bin 1": (4, 3),
        "easy / bin 2": (0, 0),
        "easy / bin 3": (0, 0),
        "hard / bin 1": (0, 0),
        "hard / bin 2": (4, 3),
        "hard / bin 3": (4, 2),
    }


@pytest.mark.filterwarnings("error")
def test_a_negative_alpha_prefers_low_scores_and_empty_groups_get_nothing(scored):
    table = scored([1.0, 1.0, 1.0, 2.0], keys=list("abcd"))
    picked = GroupedSampler(score="score", bins=6, bin_rule="equal_width", alpha=-1).select(table, 3)
    assert [q.quota for q in picked.quotas] == [2, 0, 0, 0, 0, 1]


def test_sch_22_rows_without_a_task_form_a_group(scored):
    table = scored([1, 2, 3], tasks=["t", None, None])
    picked = GroupedSampler(score="score", groups="column:row_task").select(table, 2)
    assert any("2 rows have no task" in note for note in picked.notes)
    assert sum(q.available for q in picked.quotas) == 3


def test_num_20_rows_without_a_score_fall_in_no_bin(scored):
    table = scored([None, 1.0, 2.0, None, 3.0], statuses=["ok", "ok", "ok", "image_unreadable", "ok"])
    picked = GroupedSampler(score="score", bins=3).select(table, 5)
    assert sorted(picked.keys) == ["r1", "r2", "r4"]
    assert picked.rejected == {"image_unreadable": 1, "no score": 1}
    assert any("2 short: 5 rows asked, 3 could be chosen" in note for note in picked.notes)


def test_seed_rows_are_outside_the_bins_and_inside_the_budget(scored):
    table = scored([float(i) for i in range(100)], keys=[f"k{i:03d}" for i in range(100)])
    seeds = tuple(f"k{i:03d}" for i in range(0, 20))
    picked = GroupedSampler(score="score").select(table, 40, include=seeds)
    assert picked.keys[:20] == seeds and len(set(picked.keys)) == 40
    assert sum(q.available for q in picked.quotas) == 80 and sum(q.picked for q in picked.quotas) == 20
    assert picked.table.column("group").to_pylist()[:20] == ["seed"] * 20
    assert picked.table.column("score").to_pylist()[:3] == [0.0, 1.0, 2.0]


def test_tokens_by_group_quota(scored):
    table = scored([float(i) for i in range(60)], n_tokens=pa.array([10 + i % 5 for i in range(60)]))
    picked = GroupedSampler(score="score", bins=3).select(table, "300 tokens")
    assert sum(q.quota for q in picked.quotas) == 300 and sum(q.tokens for q in picked.quotas) <= 300
    assert [q.tokens for q in picked.quotas] == sorted(q.tokens for q in picked.quotas)


@pytest.mark.parametrize(
    ("settings_", "error", "says"),
    [
        ({"groups": "bins"}, UsageError, "column:NAME"),
        ({"groups": "column:"}, UsageError, "column:NAME"),
        ({"groups": "clusters:"}, UsageError, "clusters:NAME"),
        ({"clusters": 0}, UsageError, "number of groups"),
        ({"bins": 0}, UsageError, "at least 1"),
        ({"within": "random"}, UnknownName, "uniform"),
        ({"bin_rule": "count"}, UnknownName, "equal_count"),
        ({"drop_top": 1.0}, UsageError, "below 1"),
        ({"alpha": float("nan")}, UsageError, "finite number"),
        ({"alpha": float("inf")}, UsageError, "finite number"),
    ],
)
def test_refusals(settings_, error, says):
    with pytest.raises(error, match=says):
        GroupedSampler(score="score", **settings_)


@settings(deadline=None, max_examples=80)
@given(
    st.lists(st.one_of(st.none(), st.sampled_from([0.0, 1.0, 2.5])), max_size=40),
    st.integers(0, 45),
    st.integers(1, 12),
    st.sampled_from([0.0, 1.0, 3.0, -1.0]),
    st.sampled_from(["score_bins", "column:row_task", "column:row_task*score_bins"]),
    st.sampled_from(["uniform", "top"]),
    st.sampled_from(["safe", "paper", "paper-vision-flan"]),
    st.randoms(use_true_random=False),
)
def test_exact_for_any_scores_and_independent_of_row_order(
    scores, budget, bins, alpha, groups, within, preset, shuffler
):
    n = len(scores)
    table = pa.table(
        {
            "row_key": pa.array([f"k{i}" for i in range(n)], pa.string()),
            "row_task": pa.array(["a" if i % 3 else "b" for i in range(n)], pa.string()),
            "score": pa.array(scores, pa.float64()),
        }
    )
    allocation = Allocation.preset(preset, "equal")
    sampler = GroupedSampler(score="score", groups=groups, bins=bins, alpha=alpha, within=within, allocation=allocation)
    picked = sampler.select(table, budget)
    usable = n - scores.count(None)
    if preset == "paper":
        assert len(picked) <= min(budget, usable)
    else:
        assert len(picked) == min(budget, usable)
    assert None not in picked.table.column("score").to_pylist()
    assert all(q.quota == q.picked <= q.available for q in picked.quotas)
    order = list(range(n))
    shuffler.shuffle(order)
    assert sampler.select(table.take(pa.array(order, pa.int64())), budget) == picked


@pytest.mark.parametrize("budget", [3, 10, 29])
def test_groups_by_clusters_of_vectors(budget):
    rng = np.random.default_rng(budget)
    centres = np.array([[0, 0], [9, 0], [0, 9]])
    points = centres[rng.integers(0, 3, 60)] + rng.normal(size=(60, 2))
    scores = np.round(rng.random(60), 1)
    rows = scored_vectors.table(points, "text_embedding", score=pa.array(scores))
    rule = Allocation(rounding="floor_min1")
    sampler = GroupedSampler(
        score="score", groups="clusters:text_embedding", clusters=3, alpha=0, within="top", allocation=rule
    )
    chosen = sampler.select(rows, budget, seed=3)
    keys = rows["row_key"].to_pylist()
    codes = KMeansGroups(k=3).assign(points.astype(np.float32), keys, seed=3).codes
    sizes = {str(c): int((codes == c).sum()) for c in range(3)}
    quota = [n for _, n in sorted(rule.allocate(sizes, total=budget).items())]
    assert [int(key) for key in chosen.keys] == by_cluster(scores.tolist(), codes.tolist(), quota)
    assert sum(quota) == budget and min(quota) >= 1


def test_rows_without_a_vector_belong_to_no_cluster():
    rng = np.random.default_rng(0)
    rows = scored_vectors.table(rng.normal(size=(40, 3)), "text_embedding", score=pa.array(rng.random(40)))
    sampler = GroupedSampler(score="score", groups="clusters:text_embedding", clusters=4)
    scored_vectors.check_promises(sampler, rows, "text_embedding", rng, 20)
