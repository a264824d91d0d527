import json
from collections import Counter

import pytest

from hf_select.demo.pool import draw_pool
from hf_select.demo.tasks import SHARES, TASKS
from hf_select.errors import UsageError
from hf_select.pool.read import read_pool
from hf_select.pool.view import PoolView
from hf_select.sampling.keys import pool_keys


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return draw_pool(tmp_path_factory.mktemp("pool") / "p", rows=200, held_out=3, seed=4)


def _lines(drawn):
    return [json.loads(line) for line in drawn.file.read_text().splitlines()]


def test_the_pool_is_read_as_llava_with_every_row_usable(drawn):
    pool = read_pool(str(drawn.file))
    rows = PoolView().rows(pool[:])
    assert PoolView().schema_of(pool[:1]) == "llava"
    assert len(rows) == 200
    assert {row.status for row in rows} == {"ok"}
    assert {row.task for row in rows} == set(TASKS)


def test_every_task_has_about_its_share(drawn):
    sizes = Counter(line["task"] for line in _lines(drawn))
    copied = sum(sizes[task] for task in ("color", "shape", "present"))
    assert sum(sizes.values()) == 200
    for task in ("count", "form", "receipt", "chart_value", "chart_extreme"):
        assert sizes[task] == int(180 * SHARES[task])
    assert copied == 200 - sum(sizes[t] for t in TASKS if t not in ("color", "shape", "present"))


def test_planted_copies_are_copies_and_nothing_in_the_pool_tells(drawn):
    lines = _lines(drawn)
    keys = dict(zip([line["id"] for line in lines], pool_keys(read_pool(str(drawn.file)), PoolView()), strict=True))
    counts = Counter(keys.values())
    assert len(drawn.copies) == 20
    assert all(counts[keys[name]] > 1 for name in drawn.copies)
    assert sum(counts.values()) - len(counts) == 20
    assert {tuple(line) for line in lines} == {("id", "image", "task", "conversations")}
    assert [line["id"] for line in lines] == [f"{n:05d}" for n in range(200)]


def test_wrong_answers_are_answers_of_the_same_task(drawn):
    lines = {line["id"]: line for line in _lines(drawn)}
    assert len(drawn.wrong) == 8
    assert not drawn.wrong & drawn.copies
    for name in drawn.wrong:
        answer = lines[name]["conversations"][1]["value"]
        assert answer in {x["conversations"][1]["value"] for x in lines.values() if x["task"] == lines[name]["task"]}


def test_the_same_seed_draws_the_same_bytes_and_another_seed_does_not(drawn, tmp_path):
    again = draw_pool(tmp_path / "again", rows=200, held_out=3, seed=4)
    other = draw_pool(tmp_path / "other", rows=200, held_out=3, seed=5)
    names = sorted(file.relative_to(drawn.folder) for file in drawn.folder.rglob("*.*"))
    assert len(names) == 200 + 3 * len(TASKS) + 3
    assert all((drawn.folder / n).read_bytes() == (again.folder / n).read_bytes() for n in names)
    assert drawn.file.read_bytes() != other.file.read_bytes()


def test_held_out_pictures_are_not_in_the_pool(drawn):
    documents = drawn.held_out()
    assert Counter(d.task for d in documents) == dict.fromkeys(TASKS, 3)
    pool = {file.read_bytes() for file in (drawn.folder / "images").glob("0*.png")}
    assert not pool & {d.image.read_bytes() for d in documents}


def test_the_same_pool_is_not_drawn_twice_and_another_replaces_it(tmp_path):
    first = draw_pool(tmp_path / "p", rows=100, held_out=1)
    picture = next((tmp_path / "p" / "images").glob("0*.png"))
    drawn_at = picture.stat().st_mtime_ns
    assert draw_pool(tmp_path / "p", rows=100, held_out=1) == first
    assert picture.stat().st_mtime_ns == drawn_at
    other = draw_pool(tmp_path / "p", rows=100, held_out=1, seed=1)
    assert other.wrong != first.wrong
    assert len(list((tmp_path / "p" / "images").iterdir())) == 100 + len(TASKS)


def test_a_folder_with_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match="holds no drawn pool"):
        draw_pool(tmp_path, rows=100)
    assert (tmp_path / "thesis.txt").exists()
    with pytest.raises(UsageError, match="at least 100 rows"):
        draw_pool(tmp_path / "x", rows=10)
