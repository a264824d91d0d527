"""Vectors in a file of their own: written once, mapped into memory, and read by any sampler as it is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from hf_select.errors import UsageError
from hf_select.files import replacing
from hf_select.sampling.features import feature_matrix

if TYPE_CHECKING:
    from datasets import Dataset

_FACTS = ("row_key", "row_task", "row_status")
_ROWS = 16384
"""Rows of a record batch: what is in memory at once while writing."""


def write_features(scored: pa.Table | Dataset, path: str | os.PathLike[str], column: str = "embedding") -> Path:
    """Write a column of vectors in half precision, with what samplers need to know of their rows.

    The file is an Arrow IPC file with `row_key`, `row_task` and `row_status` where they are there, and `column` as a
    fixed-size list of float16 (about three digits; vectors of unit length lose 0.0005 of a component at most). It
    appears whole. Memory: 16,384 rows at a time.

    Args:
        scored: What `hs.score(pool, hs.ImageEmbedding(...))` returns, or a table like it.
        path: Where to write.
        column: The column of vectors; null where a row has none.

    Raises:
        UsageError: The column is missing or no fixed-size list of floats, or has numbers beyond 65504, float16's limit.
    """
    kept = [name for name in (*_FACTS, column) if name in scored.column_names]
    table = scored.select(kept) if isinstance(scored, pa.Table) else scored.select_columns(kept).with_format("arrow")[:]
    table = table.replace_schema_metadata(None)
    feature_matrix(table.slice(0, 0), column)
    place = table.column_names.index(column)
    kind = table.schema.field(place).type
    if not pa.types.is_fixed_size_list(kind):
        raise UsageError(f"column {column!r} is {kind}; a fixed-size list is needed, as the embedders write it")
    schema = table.schema.set(place, pa.field(column, pa.list_(pa.float16(), kind.list_size)))
    file = Path(path)
    with replacing(file) as part, pa.OSFile(str(part), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        for some in _pieces(table):
            vectors = _halved(feature_matrix(some, column), kind.list_size, column)
            writer.write_table(some.set_column(place, schema.field(place), vectors).combine_chunks())
    return file


def read_features(path: str | os.PathLike[str]) -> pa.Table:
    """Map a file of `write_features` into memory; a vector is read from the disk when it is touched.

    The table goes into any sampler over vectors (`CentralitySampler`, ...) and into
    `hf_select.sampling.features.feature_matrix`. Cost: the file's table of contents.

    Raises:
        UsageError: There is no such file, or it is no Arrow IPC file.
    """
    try:
        return pa.ipc.open_file(pa.memory_map(os.fspath(path))).read_all()
    except FileNotFoundError as error:
        raise UsageError(f"there is no file {os.fspath(path)!r}: write_features makes one.") from error
    except pa.ArrowInvalid as error:
        raise UsageError(f"{os.fspath(path)!r} is no Arrow IPC file of write_features: {error}") from error


def _pieces(table: pa.Table) -> Iterator[pa.Table]:
    return (table.slice(start, _ROWS) for start in range(0, len(table), _ROWS))


def _halved(matrix: np.ndarray, dim: int, column: str) -> pa.Array:
    absent = np.isnan(matrix).all(axis=1)
    with np.errstate(over="ignore"):
        half = matrix.astype(np.float16)
    if np.isinf(half).any():
        raise UsageError(f"column {column!r} has numbers beyond 65504, which half precision can't hold: scale it.")
    return pa.FixedSizeListArray.from_arrays(pa.array(half.ravel()), dim, mask=pa.array(absent))
