import random

import pyarrow as pa
import pytest

from hf_select import Bottom, Middle, Top
from hf_select.errors import UsageError


def test_num_20_nan_is_never_chosen_and_counted(scored):
    picked = Top(score="score").select(scored([0.1, None, 0.3, 0.2]), 2)
    assert picked.keys == ("r2", "r3")
    assert picked.rejected == {"no score": 1}


def test_num_21_a_failed_score_is_null_with_a_reason_and_text_is_refused(scored):
    table = scored([4.1, None, 2.0], loss_status=pa.array(["ok", "too_long", "ok"]))
    picked = Bottom(score="score").select(table, 3)
    assert picked.keys == ("r2", "r0")
    assert picked.rejected == {"too_long": 1}
    with pytest.raises(UsageError, match="a number is needed, and null"):
        Top(score="text").select(scored([1, 2], text=pa.array(["4.1", "failed"])), 1)


@pytest.mark.parametrize("sampler", [Top, Bottom, Middle])
def test_sel_17_equal_scores_go_by_row_key_whatever_the_order(scored, sampler):
    keys = [f"r{i}" for i in range(10)]
    chosen = set()
    for seed in range(5):
        random.Random(seed).shuffle(keys)
        chosen.add(sampler(score="score").select(scored([1] * 10, keys=list(keys)), 3).keys)
    if sampler is Middle:
        assert len(chosen) == 1
    else:
        assert chosen == {("r0", "r1", "r2")}


def test_sel_18_ties_at_the_cut(scored):
    picked = Top(score="score").select(scored([3, 3, 3, 2, 2, 1, 1, 1]), 4)
    assert picked.keys == ("r0", "r1", "r2", "r3")


def test_sel_26_direction_is_explicit_and_missing_is_at_neither_end(scored):
    table = scored([0.2, 0.9, None])
    assert Top(score="score").select(table, 1).keys == ("r1",)
    assert Bottom(score="score").select(table, 1).keys == ("r0",)
    assert Top(score="score").select(table, 3).keys == ("r1", "r0")


def test_infinite_scores_are_rejected(scored):
    table = scored([1.0, float("inf"), float("-inf"), 2.0])
    picked = Top(score="score").select(table, 4)
    assert picked.keys == ("r3", "r0") and picked.rejected == {"non_finite": 2}


def test_rows_with_a_status_are_rejected_by_it(scored):
    table = scored([9, 8, 7], statuses=["image_missing", "ok", "ok"])
    picked = Top(score="score").select(table, 1)
    assert picked.keys == ("r1",) and picked.rejected == {"image_missing": 1}


def test_middle_takes_the_rows_nearest_to_the_centre_of_its_window(scored):
    table = scored([float(i) for i in range(10)])
    assert Middle(score="score").select(table, 4).keys == ("r4", "r5", "r3", "r6")
    low = Middle(score="score", window=(0.0, 0.5)).select(table, 10)
    assert set(low.keys) == {f"r{i}" for i in range(5)} and low.keys[0] == "r2"
    assert low.rejected == {"outside window": 5}
    assert any("5 short" in note for note in low.notes)
    with pytest.raises(UsageError, match="percentiles"):
        Middle(score="score", window=(0.9, 0.1))


def test_middle_and_top_inside_groups(scored):
    table = scored([1, 2, 3, 10, 20, 30], tasks=["a"] * 3 + ["b"] * 3)
    assert Middle(score="score", group="row_task").select(table, 2).keys == ("r1", "r4")
    assert Top(score="score", group="row_task").select(table, 2).keys == ("r2", "r5")
    assert Top(score="score").select(table, 2).keys == ("r5", "r4")


def test_scores_are_derived_from_stored_facts(scored):
    facts = {"loss_full": pa.array([8.0, 2.0, None], pa.float32()), "tokens_full": pa.array([8, 1, None], pa.int32())}
    status = {"loss_status": pa.array(["ok", "ok", "no_supervised_tokens"])}
    seeded = {f"seed_{name}": column for name, column in {**facts, **status}.items()}
    for name, columns in (("loss", {**facts, **status}), ("seed_loss", seeded)):
        picked = Top(score=name).select(scored([0, 0, 0], **columns), 2)
        assert picked.keys == ("r1", "r0")
        assert picked.table.column("score").to_pylist() == [2.0, 1.0]
        assert picked.rejected == {"no_supervised_tokens": 1}


def test_missing_columns_are_named_with_what_adds_them(scored):
    with pytest.raises(UsageError, match=r"no column 'loss'.*hs.score"):
        Top(score="loss").select(scored([1, 2]), 1)
    with pytest.raises(UsageError, match="no column 'row_key'"):
        Top(score="score").select(scored([1, 2]).drop_columns(["row_key"]), 1)
    with pytest.raises(UsageError, match="Dataset or a pyarrow Table, not list"):
        Top(score="score").select([1, 2], 1)


def test_cac_06_empty_pool(scored):
    picked = Top(score="score").select(scored([]), "15%")
    assert len(picked) == 0 and "empty" in picked.notes[0]
    with pytest.raises(UsageError, match="the pool is empty"):
        Top(score="other").select(scored([]), "15%")
