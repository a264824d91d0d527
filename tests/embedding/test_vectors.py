"""The memory of vectors is bounded, and the names of vector types are read as they are written."""

import numpy as np
import pyarrow as pa
import pytest

from hf_select.embedding import vectors
from hf_select.embedding.dims import declared_dim
from hf_select.embedding.vectors import VectorMemo
from hf_select.errors import UsageError
from hf_select.scoring.columns import TypedColumn, arrow_type, vector_type


def test_the_memo_forgets_what_nobody_asked_for_longest(monkeypatch):
    monkeypatch.setattr(vectors, "_MEMO_BYTES", 2 * 4 * 8)
    memo = VectorMemo(8)
    memo.keep("a", np.zeros(8))
    memo.keep("b", np.ones(8))
    assert set(memo.known(["a"])) == {"a"}
    memo.keep("c", np.ones(8))
    assert set(memo.known(["a", "b", "c"])) == {"a", "c"}


def test_the_type_of_a_vector_has_a_name():
    assert vector_type("float16", 3) == "fixed_size_list<float16>[3]"
    assert arrow_type("fixed_size_list<float32>[384]") == pa.list_(pa.float32(), 384)
    assert arrow_type("int32") == pa.int32()
    assert arrow_type("list<string>") == pa.list_(pa.string())
    for wrong in ("fixed_size_list<float32>[0]", "fixed_size_list<number>[3]", "list<number>"):
        with pytest.raises(ValueError):
            arrow_type(wrong)


def test_a_typed_column_of_vectors_may_hold_nulls():
    column = TypedColumn([None, np.array([0.1, 2.0], dtype=np.float32)], "fixed_size_list<float32>[2]")
    assert pa.array(column).type == pa.list_(pa.float32(), 2)
    assert pa.array(column).is_null().to_pylist() == [True, False]


@pytest.mark.parametrize(
    ("config", "dim"),
    [
        ('{"hidden_size": 8}', 8),
        ('{"hidden_size": 8, "vision_config": {"hidden_size": 4}}', 4),
        ('{"hidden_sizes": [8, 16]}', 16),
        ('{"model_type": "siglip", "vision_config": {"model_type": "siglip_vision_model"}}', 768),
    ],
)
def test_the_length_of_vectors_is_read_from_the_config(tmp_path, config, dim):
    (tmp_path / "config.json").write_text(config)
    assert declared_dim(str(tmp_path), None, vision=True) == dim


def test_a_config_without_a_size_is_one_sentence(tmp_path):
    with pytest.raises(UsageError, match="has no config.json"):
        declared_dim(str(tmp_path), None, vision=True)
    (tmp_path / "config.json").write_text('{"model_type": "what"}')
    with pytest.raises(UsageError, match=r"names no hidden size.*ImageEmbedding.of"):
        declared_dim(str(tmp_path), None, vision=True)
