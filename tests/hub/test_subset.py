"""A subset folder: rows and pictures as they were, null pictures kept, no path of this machine, no empty subset."""

import hashlib
import json

import drawn
import pictures
import pytest
from datasets import load_dataset

from hf_select.errors import HFSelectError, UsageError
from hf_select.hub.subset import write_subset
from hf_select.pool.read import read_pool
from hf_select.pool.view import PoolView
from hf_select.sampling.budget import Budget
from hf_select.sampling.uniform import Uniform
from hf_select.scoring.run import score_columns

ABOUT = {
    "pool": "pool.jsonl",
    "pool_revision": None,
    "pool_rows": 40,
    "method": {"name": "uniform", "paper": "nothing", "necessity": "loss", "bins": 10},
    "known": ["that it is drawn"],
    "unknown": ["nothing"],
    "model": "tiny",
    "budget": "15%",
    "seed": 0,
    "tasks": [{"task": "a|b <x>", "rows": 40, "usable": 40, "picked": 6, "share": 0.15}],
}
ABOUT["tasks"][0] |= {"mean_score": 1.5, "mean_score_picked": None}


def write(pool, out, budget):
    picked = Uniform().select(score_columns(pool), Budget(budget))
    return picked, write_subset(picked, pool, out, view=PoolView(), about=ABOUT)


def test_rows_come_back_in_pick_order_with_their_values(tmp_path):
    pool = read_pool(str(drawn.pool(tmp_path / "pool")))
    picked, folder = write(pool, tmp_path / "out", "15%")
    read = load_dataset(str(tmp_path / "out"), split="train")
    source = picked.apply(pool)
    assert folder.rows == len(read) == 6
    for column in ("id", "task", "conversations"):
        assert read[column] == source[column]


def test_img_20_and_pub_05_bytes_are_the_sources_and_no_local_path_is_written(tmp_path):
    pictures.write(tmp_path, "noise32.jpg")
    turns = [{"from": "human", "value": "<image>\nColour?"}, {"from": "gpt", "value": "Grey."}]
    row = {"id": "a", "image": "img/noise32.jpg", "conversations": turns}
    (tmp_path / "pool.json").write_text(json.dumps([row]))
    write(read_pool(str(tmp_path / "pool.json")), tmp_path / "out", 1)
    read = load_dataset(str(tmp_path / "out"), split="train").with_format("arrow")[:]["image"].to_pylist()
    source = (tmp_path / "img" / "noise32.jpg").read_bytes()
    assert hashlib.sha256(read[0]["bytes"]).digest() == hashlib.sha256(source).digest()
    assert read[0]["path"] == "noise32.jpg"
    for file in (tmp_path / "out").rglob("*"):
        assert not file.is_file() or str(tmp_path).encode() not in file.read_bytes()


def test_pub_06_a_null_picture_stays_null(tmp_path):
    pictures.write(tmp_path, "red8x6.png")
    rows = [
        {"id": "a", "image": "img/red8x6.png", "conversations": [{"from": "human", "value": "<image>\nColour?"}]},
        {"id": "b", "image": None, "conversations": [{"from": "human", "value": "Hi"}]},
    ]
    for row, answer in zip(rows, ("Red.", "Hello."), strict=True):
        row["conversations"].append({"from": "gpt", "value": answer})
    (tmp_path / "pool.json").write_text(json.dumps(rows))
    write(read_pool(str(tmp_path / "pool.json")), tmp_path / "out", 2)
    read = load_dataset(str(tmp_path / "out"), split="train")
    assert {row["id"]: row["image"] is None for row in read} == {"a": False, "b": True}


def test_pub_14_an_empty_subset_is_refused(tmp_path):
    pool = read_pool(str(drawn.pool(tmp_path / "pool")))
    with pytest.raises(UsageError, match="empty"):
        write(pool, tmp_path / "out", 0)
    assert not (tmp_path / "out").exists()


def test_a_folder_of_something_else_is_left_alone_and_an_old_subset_is_replaced(tmp_path):
    pool = read_pool(str(drawn.pool(tmp_path / "pool")))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    with pytest.raises(UsageError, match="not a subset folder"):
        write(pool, tmp_path / "mine", 3)
    write(pool, tmp_path / "out", 3)
    write(pool, tmp_path / "out", 5)
    assert len(load_dataset(str(tmp_path / "out"), split="train")) == 5


def test_a_saved_selection_or_a_subset_with_something_added_is_not_replaced(tmp_path):
    pool = read_pool(str(drawn.pool(tmp_path / "pool")))
    picked, _ = write(pool, tmp_path / "out", 3)
    picked.save(tmp_path / "selection")
    (tmp_path / "out" / "notes.txt").write_text("mine")
    for name in ("selection", "out"):
        before = sorted((tmp_path / name).rglob("*"))
        with pytest.raises(UsageError, match="choose an empty or new one"):
            write(pool, tmp_path / name, 5)
        assert sorted((tmp_path / name).rglob("*")) == before


def test_a_picture_that_vanished_is_one_sentence(tmp_path):
    pool = read_pool(str(drawn.pool(tmp_path / "pool")))
    picked = Uniform().select(score_columns(pool), Budget(40))
    scored = score_columns(pool)
    (tmp_path / "pool" / "images" / "3.png").unlink()
    keyed = pool.add_column("row_key", scored["row_key"])
    with pytest.raises(HFSelectError, match="picture of a chosen row"):
        write_subset(picked, keyed, tmp_path / "out", view=PoolView(), about=ABOUT)
    assert not (tmp_path / "out").exists()


def test_the_card_shows_hostile_task_names_as_text(tmp_path):
    write(read_pool(str(drawn.pool(tmp_path / "pool"))), tmp_path / "out", "15%")
    card = (tmp_path / "out" / "README.md").read_text()
    assert r"| a\|b &lt;x&gt; | 40 | 40 | 6 | 15.0% | 1.500 | - |" in card
    assert card.startswith("---\n")
