"""Vectors in a file: what samplers choose from it, what is lost by halving, and what can't be written or read."""

import datasets
import numpy as np
import pyarrow as pa
import pytest
import scored_vectors

import hf_select as hs
from hf_select.embedding.feature_store import read_features, write_features
from hf_select.errors import UsageError
from hf_select.sampling.features import feature_matrix, unit


@pytest.fixture
def vectors():
    return unit(np.random.RandomState(0).randn(40, 12).astype(np.float32))


@pytest.mark.parametrize("kind", ["table", "dataset", "shuffled dataset"])
def test_what_comes_back_is_what_was_written_in_half_precision(tmp_path, vectors, kind):
    rows = scored_vectors.table([None, *vectors], "embedding", extra=pa.array(range(41)))
    order = list(range(41))
    if kind != "table":
        rows = datasets.Dataset(rows)
    if kind == "shuffled dataset":
        order.reverse()
        rows = rows.select(order)
    path = write_features(rows, tmp_path / "new" / "features.arrow")
    table = read_features(path)
    assert table.column_names == ["row_key", "row_task", "row_status", "embedding"]
    assert table.schema.field("embedding").type == pa.list_(pa.float16(), 12)
    assert table["row_key"].to_pylist() == [f"{at:05d}" for at in order]
    matrix = feature_matrix(table, "embedding")[np.argsort(order)]
    assert np.isnan(matrix[0]).all()
    assert np.array_equal(matrix[1:], vectors.astype(np.float16).astype(np.float32))
    assert [file.name for file in path.parent.iterdir()] == ["features.arrow"]


def test_vectors_are_mapped_not_read(tmp_path, vectors):
    path = write_features(scored_vectors.table(np.tile(vectors, (60, 1)), "embedding"), tmp_path / "a")
    before = pa.total_allocated_bytes()
    table = read_features(path)
    assert pa.total_allocated_bytes() - before < path.stat().st_size / 10
    assert len(table) == 2400


def test_many_batches_keep_their_order(tmp_path, vectors, monkeypatch):
    monkeypatch.setattr("hf_select.embedding.feature_store._ROWS", 7)
    rows = scored_vectors.table(list(vectors), "embedding")
    table = read_features(write_features(pa.concat_tables([rows.slice(0, 9), rows.slice(9)]), tmp_path / "a"))
    assert table["row_key"].to_pylist() == rows["row_key"].to_pylist()
    assert np.allclose(feature_matrix(table, "embedding"), vectors, atol=5e-4)


def test_a_sampler_chooses_from_the_file(tmp_path, vectors):
    rows = scored_vectors.table(list(vectors.astype(np.float16)), "embedding")
    sampler = hs.CentralitySampler(clusters=3)
    chosen = sampler.select(read_features(write_features(rows, tmp_path / "a")), 12, seed=1)
    assert chosen.keys == sampler.select(rows, 12, seed=1).keys


def test_an_empty_pool(tmp_path):
    empty = scored_vectors.table([[1.0, 2.0]], "embedding").slice(0, 0)
    assert feature_matrix(read_features(write_features(empty, tmp_path / "a")), "embedding").shape == (0, 2)


def test_what_cannot_be_written_or_read_is_said(tmp_path):
    with pytest.raises(UsageError, match="no column 'embedding'"):
        write_features(pa.table({"row_key": ["a"]}), tmp_path / "a")
    with pytest.raises(UsageError, match="beyond 65504"):
        write_features(scored_vectors.table([[1.0, 1e5]], "embedding"), tmp_path / "a")
    with pytest.raises(UsageError, match="there is no file"):
        read_features(tmp_path / "a")
    (tmp_path / "a").write_bytes(b"no arrow file at all")
    with pytest.raises(UsageError, match="no Arrow IPC file"):
        read_features(tmp_path / "a")
    assert [file.name for file in tmp_path.iterdir()] == ["a"]
