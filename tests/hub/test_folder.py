"""The folder that becomes a commit: what is in it, what may not be, and how much room it needs."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from hf_select.errors import HFSelectError, UsageError
from hf_select.hub.folder import addressed, build, is_data, is_ours, refuse_private, temporary_folder
from hf_select.pool.embed import estimated_bytes
from hf_select.pool.view import PoolView


def test_it_holds_rows_selection_recipe_scores_and_plots(content, tmp_path):
    assert build(content, tmp_path / "out") == ("plots/tasks.png", "plots/scores.png")
    files = sorted(file.relative_to(tmp_path / "out").as_posix() for file in (tmp_path / "out").rglob("*.*"))
    names = ["plots/scores.png", "plots/tasks.png", "recipe.yaml", "scores.parquet", "selection.parquet"]
    assert files == ["data/train-00000.parquet", *names] and all(map(is_ours, files))
    assert Image.open(tmp_path / "out" / "plots" / "scores.png").format == "PNG"
    assert pq.read_schema(tmp_path / "out" / "scores.parquet").names == ["row_key", "worth", "row_status"]


def test_without_matplotlib_there_are_no_plots(content, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert build(content, tmp_path / "out") is None
    assert not (tmp_path / "out" / "plots").exists()


def test_shards_are_cut_to_size_whatever_rows_weigh(content, tmp_path):
    build(content, tmp_path / "out", shard_bytes=1)
    shards = sorted((tmp_path / "out" / "data").iterdir())
    assert [pq.read_metadata(shard).num_rows for shard in shards] == [1] * 12
    assert [pq.read_table(shard)["id"][0].as_py() for shard in shards] == content.rows["id"]


def test_the_recipe_tells_no_folder_that_pictures_start_from(content, tmp_path):
    told = content.about | {"pool": "lab/pool", "pool_revision": "a" * 40}
    rooted = replace(content, about=told, view=PoolView(image_root=str(tmp_path)))
    build(rooted, tmp_path / "out")
    assert str(tmp_path) not in (tmp_path / "out" / "recipe.yaml").read_text()


def test_keys_need_a_pool_whose_rows_stay(content):
    for about, words in (
        ({"pool": "pool.jsonl"}, "no dataset on the Hub"),
        ({"pool": "lab/pool"}, "revision of the pool lab/pool is not known"),
        ({"pool": "lab/pool", "pool_revision": "a", "generated": True}, "in no pool"),
    ):
        with pytest.raises(UsageError, match=words):
            addressed(replace(content, about=content.about | about), "keys")


def test_a_text_with_the_token_or_a_folder_of_this_machine_is_refused(hub):
    for text in (f"--x={Path.home()}/data", f"{os.getcwd()}/pool.jsonl", hub.me.token):
        with pytest.raises(HFSelectError, match="the card would tell") as caught:
            refuse_private(f"words {text} words", "the card")
        assert hub.me.token not in str(caught.value)
    refuse_private("pool.jsonl lab/pool /data", "the card")


def test_a_command_with_a_folder_never_gets_out(hub, send, content):
    with pytest.raises(HFSelectError, match="of this machine"):
        send(about=content.about | {"command": f"hf-select run --prompts={Path.home()}/p.yaml"})
    assert ("datasets", "me/vit") not in hub.repos


def test_the_room_that_is_needed_counts_pictures_outside_and_inside(content, pool, tmp_path):
    outside = sum(os.path.getsize(image["path"]) for image in pool.with_format("arrow")[:]["image"].to_pylist())
    assert outside <= estimated_bytes(pool) <= outside + 40_000
    build(content, tmp_path / "out")
    written = sum(file.stat().st_size for file in (tmp_path / "out" / "data").iterdir())
    assert 0.3 * written < estimated_bytes(content.rows) < 2 * written
    assert estimated_bytes(pool.select([])) == 0


def test_data_of_another_tool_is_told_from_words():
    assert all(map(is_data, ("train.jsonl", "a/b.PARQUET", "x.tar.gz", "dataset_infos.json", "plots/x.svg")))
    assert not any(map(is_data, ("README.md", ".gitattributes", "notes.txt", "LICENSE", "code.py")))


def test_temporary_folders_of_killed_processes_are_removed(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (tmp_path / f"hf-select-publish-{dead.pid}-x").mkdir()
    mine = tmp_path / f"hf-select-publish-{os.getpid()}-x"
    mine.mkdir()
    with temporary_folder() as folder:
        assert sorted(tmp_path.iterdir()) == sorted([mine, folder])
    assert list(tmp_path.iterdir()) == [mine]


def test_a_full_disk_is_told_before_and_while_it_is_written(hub, send, monkeypatch):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("datasets.Dataset.to_parquet", full)
    with pytest.raises(HFSelectError, match="is full: make room, or set TMPDIR"):
        send()
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000})())
    with pytest.raises(HFSelectError, match="GB are free"):
        send()
    assert ("datasets", "me/vit") not in hub.repos
