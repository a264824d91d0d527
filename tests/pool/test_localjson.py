"""The table of local JSON: found again, named by content, and equal to the file in every value."""

import datasets
import pictures
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from json_pools import BLUE, RED, row, turns, write

from hf_select.pool.localjson import read_json
from hf_select.pool.read import read_pool
from hf_select.pool.view import exact_values


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return pictures.write(tmp_path / "pool")


def exact(pool):
    table = pool.with_format("arrow")[:]
    columns = {name: exact_values(table[name]) for name in table.column_names}
    return [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]


MIXED_IDS = [
    row(id=7, image=RED),
    row(id="7", image=BLUE),
    row(id="a-7", image=RED, conversations=turns("<image>Shape?")),
]


def test_a_second_read_finds_the_table(root, monkeypatch):
    path = write(root, "pool.jsonl", [row(image=RED)])
    first = read_pool(path)
    monkeypatch.setattr("hf_select.pool.localjson._write", lambda *args: pytest.fail("read again"))
    second = read_pool(path)
    assert second._fingerprint == first._fingerprint
    assert second.cache_files == first.cache_files


def test_the_fingerprint_changes_with_a_picture_and_with_a_record(root):
    path = write(root, "pool.jsonl", [row(image=RED)])
    first = read_pool(path)._fingerprint
    (root / RED).write_bytes(pictures.PICTURES["blue8x6.png"]())
    second = read_pool(path)._fingerprint
    write(root, "pool.jsonl", [row(image=RED, id="new")])
    assert len({first, second, read_pool(path)._fingerprint}) == 3


def test_a_killed_read_leaves_nothing_behind_that_a_later_one_takes(root, monkeypatch):
    path = write(root, "pool.jsonl", [row(image=RED)] * 3)

    def stop(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr("hf_select.pool.localjson._arrow", stop)
        with pytest.raises(KeyboardInterrupt):
            read_pool(path)
    assert len(read_pool(path)) == 3


def test_batches_of_one_row_give_the_same_table(root, monkeypatch):
    path = write(root, "pool.json", MIXED_IDS)
    first = exact(read_pool(path))
    monkeypatch.setattr("hf_select.pool.localjson._BATCH_CHARACTERS", 1)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", root / "other")
    assert exact(read_pool(path)) == first


NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=5)
KEYS = st.text(st.characters(), max_size=3)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters()),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(), max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)
RECORDS = st.lists(st.dictionaries(NAMES, VALUES, min_size=1, max_size=4), min_size=1, max_size=5)


def same(first, second):
    """Equal in value and in type, so that 1, 1.0 and True differ."""
    if type(first) is not type(second):
        return False
    if isinstance(first, list):
        return len(first) == len(second) and all(map(same, first, second))
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[name], second[name]) for name in first)
    return first == second


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(records=RECORDS, as_array=st.booleans())
def test_no_value_changes(tmp_path, monkeypatch, records, as_array):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    columns = list(dict.fromkeys(name for record in records for name in record))
    pool = read_json([write(tmp_path, "pool.json" if as_array else "pool.jsonl", records)])
    found = exact(pool)
    assert len(found) == len(records)
    for record, back in zip(records, found, strict=True):
        assert list(back) == columns
        assert all(same(record.get(name), back[name]) for name in columns)
