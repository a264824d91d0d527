"""Selections applied to real datasets on disk, with pictures."""

import json
import os
import pickle
import subprocess
import sys

import numpy as np
import pictures
import pyarrow as pa
import pytest
from datasets import Dataset, Features, Image, List, Value, load_from_disk
from datasets.fingerprint import Hasher

from hf_select import Selection, Top, Uniform
from hf_select.errors import UsageError
from hf_select.pool.view import PoolView
from hf_select.sampling.keys import pool_keys
from hf_select.sampling.selection import SCHEMA, Quota, selection_table

TURNS = List({"from": Value("string"), "value": Value("string")})


def conversation(question, answer):
    return [{"from": "human", "value": f"<image>\n{question}"}, {"from": "gpt", "value": answer}]


@pytest.fixture
def pool(tmp_path):
    """Six rows with pictures, saved and loaded; rows 1 and 4 are exact copies, and blanks are everywhere."""
    pictures.write(tmp_path, "red8x6.png", "blue8x6.png", "noise32.jpg")
    files = ["red8x6.png", "blue8x6.png", "red8x6.png", "noise32.jpg", "blue8x6.png", "red8x6.png"]
    texts = ["Colour?", " Colour? ", "Shape?", "What?", " Colour? ", "Size?"]
    rows = {
        "id": ["007", "008", "1e3", "true", "null", "2024-01-01"],
        "image": [{"bytes": (tmp_path / "img" / name).read_bytes(), "path": name} for name in files],
        "conversations": [conversation(text, f"A.\n{text}") for text in texts],
        "task": ["a", "a", "b", None, "a", "b"],
    }
    features = Features(id=Value("string"), image=Image(), conversations=TURNS, task=Value("string"))
    Dataset.from_dict(rows, features=features).save_to_disk(tmp_path / "pool")
    return load_from_disk(tmp_path / "pool")


@pytest.fixture
def facts(pool):
    """The pool's keys and tasks as `score` would add them."""
    return pa.table({"row_key": pool_keys(pool, PoolView()), "row_task": pool["task"][:]})


def stored(dataset):
    """The rows as they are stored: pictures as their file bytes."""
    return dataset.with_format("arrow")[:].to_pylist()


def chosen(keys, **about):
    return Selection(selection_table(keys, ["g"] * len(keys), None, ["uniform"] * len(keys)), **about)


def test_pub_10_applied_rows_equal_the_source_rows_in_pick_order(pool, facts):
    picked = Uniform().select(facts, 4, seed=1)
    subset = picked.apply(pool)
    place = dict(zip(facts["row_key"].to_pylist(), range(6), strict=False))
    source = stored(pool)
    assert stored(subset) == [source[i] for i in picked.indices(pool)]
    assert subset.features == pool.features
    assert len(set(picked.indices(pool).tolist())) == 4 and len(place) == 5


def test_txt_19_blanks_survive_byte_for_byte(pool, facts):
    key = facts["row_key"][1].as_py()
    row = chosen([key]).apply(pool)[0]
    assert row["conversations"] == conversation(" Colour? ", "A.\n Colour? ") and row["id"] == "008"


def test_copies_are_told_apart_by_apply_and_not_by_a_predicate(pool, facts):
    key = facts["row_key"][1].as_py()
    assert facts["row_key"][4].as_py() == key
    assert chosen([key + "+2"]).apply(pool)["id"] == ["null"]
    assert chosen([key + "+2", key]).apply(pool)["id"] == ["null", "008"]
    assert pool.filter(chosen([key]), batched=True)["id"] == ["008", "null"]


def test_apply_uses_the_column_row_key_where_there_is_one(pool, facts):
    scored = pool.add_column("row_key", [f"own {i}" for i in range(6)])
    assert chosen(["own 3", "own 0"]).apply(scored)["id"] == ["true", "007"]


def test_apply_follows_another_order_of_the_pool(pool, facts):
    picked = Uniform(duplicates="drop").select(facts, 5, seed=2)
    straight = picked.apply(pool)
    turned = picked.apply(pool.select([5, 3, 1, 0, 2, 4]))
    assert turned["conversations"] == straight["conversations"]


def test_missing_rows_are_counted_and_named(pool, facts):
    with pytest.raises(UsageError, match=r"2 of 3 chosen rows are not in this pool of 6 rows \(lost, gone\)"):
        chosen(["lost", facts["row_key"][0].as_py(), "gone"]).apply(pool)


def test_a_pool_without_positions_is_refused(pool):
    with pytest.raises(UsageError, match="IterableDataset"):
        chosen([]).apply(pool.to_iterable_dataset())


def test_filter_on_a_scored_pool_row_by_row_by_batch_by_column_and_as_a_stream(pool, facts):
    scored = pool.add_column("row_key", facts["row_key"].to_pylist())
    picked = Top(score="s").select(facts.append_column("s", pa.array([5.0, 1, 4, 3, 0, 2])), 3)
    kept = ["007", "1e3", "true"]
    assert scored.filter(picked)["id"] == kept
    assert scored.filter(picked, batched=True)["id"] == kept
    assert scored.filter(picked, with_indices=True)["id"] == kept
    assert scored.filter(picked, input_columns="row_key", batched=True)["id"] == kept
    assert scored.filter(picked, input_columns=["row_key"])["id"] == kept
    assert [row["id"] for row in scored.to_iterable_dataset().filter(picked)] == kept
    assert pool.filter(picked, batched=True)["id"] == kept


def test_filter_with_two_processes(pool, facts):
    picked = chosen([facts["row_key"][0].as_py(), facts["row_key"][5].as_py()])
    assert pool.filter(picked, batched=True, num_proc=2)["id"] == ["007", "2024-01-01"]


def test_a_row_with_decoded_pictures_is_refused(pool, facts):
    with pytest.raises(UsageError, match="batched=True"):
        pool.filter(chosen([facts["row_key"][0].as_py()]))


def test_fingerprint_is_the_same_fresh_loaded_used_and_in_another_process(pool, facts, tmp_path):
    picked = Uniform(stratify="row_task").select(facts, 3, seed=1)
    fresh = Hasher.hash(picked)
    picked.save(tmp_path / "s")
    loaded = Selection.load(tmp_path / "s")
    pool.filter(picked, batched=True)
    assert Hasher.hash(picked) == Hasher.hash(loaded) == Hasher.hash(pickle.loads(pickle.dumps(picked))) == fresh
    code = (
        "import sys, hf_select; from datasets.fingerprint import Hasher;"
        "print(Hasher.hash(hf_select.Selection.load(sys.argv[1])))"
    )
    run = [sys.executable, "-c", code, str(tmp_path / "s")]
    out = subprocess.run(run, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONHASHSEED": "7"})
    assert out.stdout.strip() == fresh
    other = Uniform(stratify="row_task").select(facts, 3, seed=2)
    assert Hasher.hash(other) != fresh


def test_a_second_filter_hits_the_cache(pool, facts, tmp_path):
    picked = Uniform().select(facts, 3, seed=1)
    picked.save(tmp_path / "s")
    first = pool.filter(picked, batched=True)
    again = load_from_disk(tmp_path / "pool").filter(Selection.load(tmp_path / "s"), batched=True)
    assert first._fingerprint == again._fingerprint and first["id"] == again["id"]


def test_apply_decodes_no_picture(pool, facts, tmp_path):
    broken = pool.with_format("arrow")[:].to_pydict()
    broken["image"] = [{"bytes": b"no picture at all", "path": None}] * 6
    ruined = Dataset.from_dict(broken, features=pool.features)
    keys = pool_keys(ruined, PoolView())
    assert len(chosen(keys[:2]).apply(ruined)) == 2


def test_view_reads_a_pool_of_relative_paths(tmp_path):
    pictures.write(tmp_path, "red8x6.png", "blue8x6.png")
    rows = {
        "image": ["img/red8x6.png", "img/blue8x6.png"],
        "conversations": [conversation("Q", "A")] * 2,
    }
    pool = Dataset.from_dict(rows, features=Features(image=Value("string"), conversations=TURNS))
    view = PoolView(image_root=str(tmp_path))
    keys = pool_keys(pool, view)
    assert chosen(keys[1:]).apply(pool, view)["image"] == ["img/blue8x6.png"]
    assert pool.filter(chosen(keys[1:], view=view), batched=True)["image"] == ["img/blue8x6.png"]


def test_equality_length_and_keys():
    one, two = chosen(["a", "b"]), chosen(["a", "b"])
    assert one == two and len(one) == 2 and one.keys == ("a", "b")
    assert chosen(["b", "a"]) != one
    assert "2 rows" in repr(one)


def test_plain_values_only_reach_the_recipe():
    picked = chosen([], recipe={"n": np.int64(3), "x": (np.float32(0.5), None)}, rejected={"r": np.int64(1)})
    assert json.dumps(picked.recipe) == '{"n": 3, "x": [0.5, null]}' and type(picked.rejected["r"]) is int


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (pa.table({"key": ["a"]}), "found key string"),
        (pa.table({"key": [1], "rank": [0], "group": ["g"], "score": [None], "reason": [""]}), "found key int64"),
        (selection_table(["a", "a"], ["g"] * 2, None, ["u"] * 2), "more than once, such as 'a'"),
        (selection_table(["a", None], ["g"] * 2, None, ["u"] * 2), "1 rows without a key"),
        (selection_table(["a", "b"], ["g"] * 2, None, ["u"] * 2).take(pa.array([1, 0])), "0, 1, 2"),
    ],
)
def test_tables_of_another_layout_are_refused(table, says):
    with pytest.raises(UsageError, match=says):
        Selection(table)


def test_quota_is_part_of_the_selection():
    picked = chosen([], quotas=[Quota("g", 3, 1.0, 2, 2)])
    assert picked.quotas == (Quota("g", 3, 1.0, 2, 2),) and picked.table.schema == SCHEMA
