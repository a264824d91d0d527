"""Cuts a dataset into Parquet-sized pieces that hold their pictures' own bytes and no path of this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from hf_select.errors import HFSelectError

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset

SHARD_BYTES = 200_000_000
ROWS_AT_ONCE = 256
SAMPLED_ROWS = 1000


def embedded_shards(subset: Dataset, shard_bytes: int = SHARD_BYTES) -> Iterator[Dataset]:
    """Cut `subset` into in-memory datasets of about `shard_bytes` with every picture embedded.

    Pictures come with the bytes of their source files, never decoded; paths are reduced to base names. Memory: one
    shard.

    Raises:
        HFSelectError: A picture's file can't be read any more.
    """
    import pyarrow as pa
    from datasets import Dataset

    tables: list[pa.Table] = []
    for start in range(0, len(subset), ROWS_AT_ONCE):
        rows = subset.with_format("arrow")[start : start + ROWS_AT_ONCE]
        embedded = _embedded(rows, subset)
        fitting = max(1, len(embedded) * shard_bytes // max(1, embedded.nbytes))
        for first in range(0, len(embedded), fitting):
            tables.append(embedded.slice(first, fitting))
            if sum(table.nbytes for table in tables) >= shard_bytes:
                yield Dataset(pa.concat_tables(tables))
                tables = []
    if tables:
        yield Dataset(pa.concat_tables(tables))


def estimated_bytes(subset: Dataset) -> int:
    """About how many bytes `embedded_shards` gives, from at most some 1,000 rows spread evenly."""
    rows = subset.with_format("arrow")[:: max(1, len(subset) // SAMPLED_ROWS)]
    outside = sum(_size(path) for column in rows.columns for path in _outside(column))
    return (rows.nbytes + outside) * len(subset) // max(1, len(rows))


def _outside(column: pa.ChunkedArray) -> Iterator[str]:
    """Paths of the pictures that are files beside the table."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        yield from _outside(pc.list_flatten(column))
    elif pa.types.is_struct(kind) and {field.name for field in kind} == {"bytes", "path"}:
        kept = column.filter(pc.is_null(pc.struct_field(column, "bytes")))
        yield from (path for path in pc.struct_field(kept, "path").to_pylist() if path is not None)
    elif pa.types.is_struct(kind):
        for field in kind:
            yield from _outside(pc.struct_field(column, field.name))


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except OSError:
        return 0  # what can't be read is told when it is embedded


def _embedded(rows: pa.Table, subset: Dataset) -> pa.Table:
    from datasets.table import embed_table_storage

    try:
        return embed_table_storage(rows.cast(subset.features.arrow_schema), remote_files=False)
    except OSError as error:
        raise HFSelectError(
            f"a picture of a chosen row can't be read any more ({error}): restore it and run again."
        ) from error
