"""A folder of pictures, without any file that describes them."""

import os

import pictures
import pytest

from hf_select.errors import UsageError
from hf_select.pool.read import read_pool
from hf_select.pool.view import PoolView


@pytest.fixture
def folder(tmp_path):
    for name, colour in {"b/2.PNG": "red", "a/1.png": "blue", "a/deep/3.webp": "green"}.items():
        path = tmp_path / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pictures.plain(colour))
    (tmp_path / "pictures" / "notes.txt").write_text("no picture")
    (tmp_path / "pictures" / "a" / "._1.png").write_bytes(b"no picture either")
    return tmp_path / "pictures"


def rows(pool):
    return PoolView().rows(pool.with_format("arrow")[:])


def test_a_row_is_a_picture_and_its_task_the_folder(folder):
    found = rows(read_pool(folder))
    assert [(row.id, row.task, row.status) for row in found] == [
        ("a/1.png", "a", "ok"),
        ("a/deep/3.webp", "a/deep", "ok"),
        ("b/2.PNG", "b", "ok"),
    ]
    assert found[0].images[0].open().getpixel((0, 0)) == (0, 0, 255)


def test_a_picture_beside_the_folders_has_no_task_and_without_folders_there_are_none(folder):
    assert "task" not in read_pool(folder / "b").column_names
    (folder / "0.png").write_bytes(pictures.plain("red"))
    assert read_pool(folder)["task"] == [None, "a", "a/deep", "b"]


def test_the_fingerprint_tells_whether_a_picture_changed(folder):
    before = read_pool(folder)._fingerprint
    assert read_pool(str(folder))._fingerprint == before
    os.utime(folder / "a" / "1.png", ns=(1, 1))
    assert read_pool(folder)._fingerprint != before


def test_a_broken_picture_costs_its_own_row(folder):
    (folder / "b" / "2.PNG").write_bytes(b"")
    assert [row.status for row in rows(read_pool(folder))] == ["ok", "ok", "image_unreadable"]


def test_a_description_beside_the_pictures_comes_first(folder):
    (folder / "pool.jsonl").write_text('{"image": "a/1.png", "question": "Colour?", "answer": "Blue."}\n')
    assert [row.answers for row in rows(read_pool(folder))] == [("Blue.",)]


def test_a_split_it_does_not_have_and_a_name_that_is_no_text(folder):
    with pytest.raises(UsageError, match="one split 'train'"):
        read_pool(folder, split="test")
    try:
        (folder / os.fsdecode(b"a\xff.png")).write_bytes(pictures.plain("red"))
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    with pytest.raises(UsageError, match="no UTF-8"):
        read_pool(folder)
