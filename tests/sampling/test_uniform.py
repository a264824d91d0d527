import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_select import Allocation, Uniform
from hf_select.errors import UnknownName, UsageError
from hf_select.sampling.draw import random_order


def table(keys, tasks=None, **columns):
    return pa.table({"row_key": keys, "row_task": pa.array(tasks or ["t"] * len(keys), pa.string()), **columns})


KEYS = [f"{i:04x}" for i in range(500)]


def test_same_rows_whatever_the_order_and_more_rows_for_a_larger_budget():
    picked = Uniform().select(table(KEYS), 50, seed=3)
    shuffled = random.Random(0).sample(KEYS, len(KEYS))
    assert Uniform().select(table(shuffled), 50, seed=3).keys == picked.keys
    assert Uniform().select(table(KEYS), 80, seed=3).keys[:50] == picked.keys
    assert Uniform().select(table(KEYS[:400]), 50, seed=3).keys[0] in {*picked.keys, *KEYS[:400]}
    assert set(Uniform().select(table(KEYS), 50, seed=4).keys) != set(picked.keys)
    assert set(Uniform(stage="other").select(table(KEYS), 50, seed=3).keys) != set(picked.keys)


def test_draw_is_uniform():
    counts = np.zeros(20, dtype=int)
    for seed in range(2000):
        counts[random_order(KEYS[:20], seed=seed, stage="uniform")[:5]] += 1
    assert counts.sum() == 10_000 and (abs(counts - 500) < 80).all()  # 500 expected, standard deviation 19


def test_sel_21_equal_draw_per_task_is_capped_and_redistributed():
    tasks = ["tiny"] * 3 + ["big"] * 100
    picked = Uniform(stratify="row_task", allocation=Allocation("equal")).select(table(KEYS[:103], tasks), 20)
    assert {q.group: q.picked for q in picked.quotas} == {"tiny": 3, "big": 17}


def test_sel_22_fewer_unique_rows_than_asked_are_reported():
    picked = Uniform(duplicates="drop").select(table(["a", "b", "a", "c", "b"]), 5)
    assert sorted(picked.keys) == ["a", "b", "c"]
    assert any("2 short" in note for note in picked.notes)
    assert picked.rejected == {"duplicate": 2}


def test_sel_08_budget_larger_than_the_pool(caplog):
    picked = Uniform().select(table(KEYS[:30]), 50)
    assert len(picked) == 30
    assert any("larger than the pool of 30 rows" in note for note in picked.notes)
    assert "larger than the pool" in caplog.text


def test_sel_06_budget_0_gives_an_empty_selection():
    assert len(Uniform().select(table(KEYS[:9]), 0)) == 0
    assert len(Uniform().select(table(KEYS[:9]), 1)) == 1
    assert len(Uniform().select(table(KEYS[:9]), "5%")) == 0


def test_sel_24_tasks_without_a_row_are_listed():
    tasks = [f"task {i:03d}" for i in range(191) for _ in range(2)]
    keys = [f"k{i:04d}" for i in range(len(tasks))]
    picked = Uniform(stratify="row_task", allocation=Allocation("equal")).select(table(keys, tasks), 50)
    assert len(picked) == 50 and max(q.picked for q in picked.quotas) == 1
    assert sum(q.picked == 0 for q in picked.quotas) == 141
    assert any(note.startswith("141 of 191 groups get no row: task 050") for note in picked.notes)


def test_sch_20_hostile_task_names_stay_apart(tmp_path):
    tasks = ["ai(c,llava)", "ai/c+llava", "ai_c_llava", "yes: no"]
    picked = Uniform(stratify="row_task").select(table(KEYS[:8], tasks * 2), 4)
    assert [q.group for q in picked.quotas] == sorted(tasks)
    again = type(picked).load(picked.save(tmp_path / "s"))
    assert again == picked
    for task in tasks:
        assert task in picked.summary()


def test_sch_22_rows_without_a_task_are_a_bucket_of_their_own():
    picked = Uniform(stratify="row_task").select(table(KEYS[:3], ["t", None, None]), 3)
    assert {q.group: q.available for q in picked.quotas} == {"t": 1, "(no task)": 2}
    assert any("2 rows have no task" in note for note in picked.notes)
    clash = Uniform(stratify="row_task").select(table(KEYS[:3], ["(no task)", None, None]), 3)
    assert {q.group: q.available for q in clash.quotas} == {"(no task)": 1, "((no task))": 2}


def test_sch_37_one_copy_of_each_row():
    pool = table(["red", "red", "red", "blue"])
    assert sorted(Uniform(duplicates="drop").select(pool, 2).keys) == ["blue", "red"]
    kept = Uniform().select(pool, 4)
    assert sorted(kept.keys) == ["blue", "red", "red+2", "red+3"]
    assert any("2 rows are exact copies" in note for note in kept.notes)


def test_the_copy_that_is_kept_is_one_that_can_be_used():
    pool = table(["red", "red"]).append_column("row_status", pa.array(["image_missing", "ok"]))
    picked = Uniform(duplicates="drop").select(pool, 2)
    assert picked.keys == ("red+2",) and picked.rejected == {"image_missing": 1}


def test_included_rows_come_first_count_and_are_not_drawn_again():
    seed_rows = Uniform(stage="seed").select(table(KEYS), 20)
    picked = Uniform().select(table(KEYS), 60, include=seed_rows.keys)
    assert picked.keys[:20] == seed_rows.keys and len(set(picked.keys)) == 60
    assert picked.table.column("reason").to_pylist() == ["seed"] * 20 + ["uniform"] * 40
    assert picked.recipe["included"] == 20
    copies = Uniform(duplicates="drop").select(table(["a", "a", "b"]), 3, include=["a"])
    assert copies.keys == ("a", "b")


@pytest.mark.parametrize(
    ("include", "says"),
    [
        (KEYS[:6], "more than the budget of 5"),
        (["nowhere"], "'nowhere'"),
        ([KEYS[0], KEYS[0]], "more than once"),
        ([True, False, True], "boolean mask"),
        ([0, 1], "row keys"),
    ],
)
def test_sel_19_included_rows_are_keys_of_the_pool_and_no_mask(include, says):
    with pytest.raises(UsageError, match=says):
        Uniform().select(table(KEYS), 5, include=include)


def test_token_budget_is_kept_and_what_is_left_is_told():
    tokens = [100 + 7 * (i % 13) for i in range(500)]
    pool = table(KEYS, ["a", "b"] * 250, n_tokens=tokens)
    picked = Uniform(stratify="row_task").select(pool, "9999 tokens")
    cost = dict(zip(KEYS, tokens, strict=True))
    spent = sum(cost[key] for key in picked.keys)
    assert 9999 - max(tokens) < spent <= 9999
    assert sum(q.tokens for q in picked.quotas) == spent
    assert sum(q.quota for q in picked.quotas) == 9999
    if spent < 9999:
        assert any(note.startswith(f"{9999 - spent} of 9999 tokens are left over") for note in picked.notes)
    shuffled = pool.take(pa.array(random.Random(1).sample(range(500), 500)))
    assert Uniform(stratify="row_task").select(shuffled, "9999 tokens").keys == picked.keys


def test_token_budget_with_included_rows_and_rows_without_a_count():
    pool = table(["a", "b", "c", "d"], n_tokens=pa.array([60, 30, None, 20], pa.int32()))
    picked = Uniform().select(pool, "100 tokens", include=["a"])
    assert picked.keys[0] == "a" and "c" not in picked.keys and len(picked) == 2
    assert picked.rejected == {"no token count": 1}
    with pytest.raises(UsageError, match="60 tokens, more than the budget of 50"):
        Uniform().select(pool, "50 tokens", include=["a"])
    with pytest.raises(UsageError, match="n_tokens"):
        Uniform().select(table(["a"]), "50 tokens")
    with pytest.raises(UsageError, match="n_tokens"):
        Uniform().select(pool, "50 tokens", include=["c"])


def test_wrong_way_with_duplicates():
    with pytest.raises(UnknownName, match="drop"):
        Uniform(duplicates="dropp")


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.sampled_from("aabcd"), st.sampled_from(["t", "u", None]), st.integers(0, 50)), max_size=25),
    st.integers(0, 30),
    st.integers(0, 600),
    st.sampled_from(["keep", "drop"]),
    st.sampled_from([None, "row_task"]),
)
def test_budgets_hold_for_any_pool(rows, budget, tokens, duplicates, stratify):
    keys = [key for key, _, _ in rows]
    pool = pa.table(
        {
            "row_key": pa.array(keys, pa.string()),
            "row_task": pa.array([task for _, task, _ in rows], pa.string()),
            "n_tokens": pa.array([n for _, _, n in rows], pa.int64()),
        }
    )
    sampler = Uniform(stratify=stratify, duplicates=duplicates)
    usable = len(set(keys)) if duplicates == "drop" else len(keys)
    picked = sampler.select(pool, budget)
    assert len(picked) == min(budget, usable) == sum(q.picked for q in picked.quotas)
    assert all(q.picked == q.quota <= q.available for q in picked.quotas)
    assert sum(picked.rejected.values()) + sum(q.available for q in picked.quotas) == len(rows)
    by_tokens = sampler.select(pool, f"{tokens} tokens")
    assert sum(q.tokens for q in by_tokens.quotas) <= tokens
