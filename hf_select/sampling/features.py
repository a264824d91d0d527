"""Vectors out of a scored table: what clustering and neighbour search work on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from hf_select.errors import UsageError

if TYPE_CHECKING:
    from datasets import Dataset


def feature_matrix(table: pa.Table | Dataset, column: str) -> np.ndarray:
    """Read a column of vectors.

    Args:
        table: A table or dataset with the column, as `ImageEmbedding` and `TextEmbedding` write it.
        column: A fixed-size list, or lists that all have one length, of floating-point numbers.

    Returns:
        float32 of shape (rows, d), half-precision values widened; NaN in the whole row where the vector is null or
        holds a null. O(rows x d) memory, one copy.

    Raises:
        UsageError: The column isn't there, is no column of vectors, or its vectors differ in length.
    """
    if column not in table.column_names:
        raise UsageError(
            f"no column {column!r} among {', '.join(table.column_names)}; "
            "hs.score(pool, hs.ImageEmbedding(...)) adds one"
        )
    if not isinstance(table, pa.Table):
        table = table.select_columns([column]).with_format("arrow")[:]
    kind = table.column(column).type
    if not (_is_list(kind) and pa.types.is_floating(kind.value_type)):
        raise UsageError(f"column {column!r} is {kind}; vectors of floating-point numbers are needed")
    chunks = table.column(column).chunks
    dim = kind.list_size if pa.types.is_fixed_size_list(kind) else _common_length(chunks, column)
    matrix = np.full((table.num_rows, dim), np.nan, dtype=np.float32)
    start = 0
    for chunk in chunks:
        part = matrix[start : start + len(chunk)]
        values = chunk.drop_null().flatten().to_numpy(zero_copy_only=False).reshape(-1, dim)
        if chunk.null_count:
            part[np.asarray(chunk.is_valid())] = values
        else:
            part[:] = values
        start += len(chunk)
    matrix[~np.isfinite(matrix).all(axis=1)] = np.nan
    return matrix


def has_vector(features: np.ndarray) -> np.ndarray:
    """Which rows have a vector that isn't all zero: bool of shape (rows,)."""
    return np.isfinite(features).all(axis=1) & (features != 0).any(axis=1)


def unit(features: np.ndarray) -> np.ndarray:
    """The vectors with L2 norm 1, float32; a zero vector becomes NaN."""
    norms = np.linalg.norm(features.astype(np.float64), axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        return (features / norms).astype(np.float32)


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind)


def _common_length(chunks: list[pa.Array], column: str) -> int:
    present = [np.diff(np.asarray(chunk.offsets))[np.asarray(chunk.is_valid())] for chunk in chunks]
    lengths = np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *present]))
    if lengths.size > 1:
        raise UsageError(
            f"the vectors of column {column!r} differ in length ({lengths.min()} to {lengths.max()}); "
            "those of one encoder are needed"
        )
    return int(lengths[0]) if lengths.size else 0
