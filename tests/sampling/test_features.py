import datasets
import numpy as np
import pyarrow as pa
import pytest

from hf_select.errors import UsageError
from hf_select.sampling.features import feature_matrix, has_vector, unit


@pytest.mark.parametrize("kind", [pa.list_(pa.float32(), 2), pa.list_(pa.float16(), 2), pa.list_(pa.float32())])
def test_vectors_come_as_float32_and_null_as_nan(kind):
    values = [None if v is None else np.array(v, np.float16) for v in ([1.0, 2.0], None, [3.0, 4.5])]
    table = pa.table({"v": pa.array(values, kind)})
    matrix = feature_matrix(table, "v")
    assert matrix.dtype == np.float32
    assert np.isnan(matrix[1]).all()
    assert matrix[[0, 2]].tolist() == [[1.0, 2.0], [3.0, 4.5]]


def test_slices_and_chunks_are_read_right():
    part = pa.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]], pa.list_(pa.float32(), 2))
    table = pa.table({"v": pa.chunked_array([part.slice(1), part.slice(0, 1)])})
    assert feature_matrix(table, "v")[:, 0].tolist() == [2.0, 3.0, 1.0]


def test_a_dataset_is_read_too():
    features = datasets.Features({"v": datasets.List(datasets.Value("float32"), length=2)})
    data = datasets.Dataset.from_dict({"v": [[1.0, 2.0]]}, features=features)
    assert feature_matrix(data, "v").tolist() == [[1.0, 2.0]]


def test_an_empty_pool_has_no_rows():
    assert feature_matrix(pa.table({"v": pa.array([], pa.list_(pa.float32(), 3))}), "v").shape == (0, 3)


@pytest.mark.parametrize(
    ("column", "words"),
    [
        (pa.array([[1.0], [1.0, 2.0]], pa.list_(pa.float32())), "differ in length"),
        (pa.array([1.0]), "vectors"),
        (pa.array([[1]], pa.list_(pa.int64())), "floating-point"),
    ],
)
def test_what_is_no_column_of_vectors_is_refused(column, words):
    with pytest.raises(UsageError, match=words):
        feature_matrix(pa.table({"v": column}), "v")


def test_a_column_that_is_not_there_is_named():
    with pytest.raises(UsageError, match="no column 'embedding' among v"):
        feature_matrix(pa.table({"v": [1.0]}), "embedding")


def test_zero_and_missing_vectors_are_told():
    features = np.array([[1, 0], [0, 0], [np.nan, 1]], dtype=np.float32)
    assert has_vector(features).tolist() == [True, False, False]
    assert unit(np.array([[3.0, 4.0]], dtype=np.float32)).tolist() == [pytest.approx([0.6, 0.8])]
