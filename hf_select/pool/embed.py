"""Cuts a dataset into Parquet-sized pieces that hold their pictures' own bytes and no path of this machine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hf_select.errors import HFSelectError

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset

SHARD_BYTES = 200_000_000
ROWS_AT_ONCE = 256


def embedded_shards(subset: Dataset) -> Iterator[Dataset]:
    """Cut `subset` into in-memory datasets of about `SHARD_BYTES` with every picture embedded.

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
        tables.append(_embedded(rows, subset))
        if sum(table.nbytes for table in tables) >= SHARD_BYTES:
            yield Dataset(pa.concat_tables(tables))
            tables = []
    if tables:
        yield Dataset(pa.concat_tables(tables))


def _embedded(rows: pa.Table, subset: Dataset) -> pa.Table:
    from datasets.table import embed_table_storage

    try:
        return embed_table_storage(rows.cast(subset.features.arrow_schema), remote_files=False)
    except OSError as error:
        raise HFSelectError(
            f"a picture of a chosen row can't be read any more ({error}): restore it and run again."
        ) from error
