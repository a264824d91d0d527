"""Scored columns as arrays in one canonical order, read without touching a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hf_select.errors import UsageError
from hf_select.sampling import derive
from hf_select.sampling.keys import ROW_KEY, unique_keys

if TYPE_CHECKING:
    from datasets import Dataset

ROW_STATUS = "row_status"
OK = "ok"


@dataclass(frozen=True)
class ScoredRows:
    """The columns a sampler looks at, rows sorted by address.

    Sorting once makes every later step independent of the order of the pool's rows: a stable sort by score breaks
    ties by row key.

    Attributes:
        table: The columns asked for, sorted by address.
        addresses: Unique row addresses, ascending (`unique_keys`).
        copy: int64, which row has the same content (position of the first copy); its own position if none has.
        taken: int64, positions of the rows that are chosen already, for plans that keep away from them.
    """

    table: pa.Table
    addresses: pa.StringArray
    copy: np.ndarray
    taken: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    @classmethod
    def read(cls, scored: Dataset | pa.Table, columns: Sequence[str], *, score: str | None = None) -> ScoredRows:
        """Read `columns`, the columns of `score` and, where the pool has them, the status columns.

        Args:
            scored: A `Dataset` or a table with `row_key`.
            columns: Columns that must be there.
            score: A column, or a scorer's prefix and a kind of `derived` ("loss", "seed_ifd").

        Raises:
            UsageError: A column that isn't there, or something that isn't a scored pool.
        """
        names = _column_names(scored)
        wanted = [ROW_KEY, *columns]
        if score is not None:
            found = None if score in names else derive.split_name(score, names)
            wanted += derive.needs(found[1], found[0]) if found else [score]
        _require(wanted, names, len(scored))
        wanted += [name for name in names if name == ROW_STATUS or name.endswith("loss_status")]
        wanted = list(dict.fromkeys(wanted))
        if isinstance(scored, pa.Table):
            table = scored.select(wanted)
        else:
            table = scored.select_columns(wanted).with_format("arrow")[:]
        table = table.combine_chunks()
        keys = table.column(ROW_KEY).to_pylist()
        unique = unique_keys(keys)
        addresses = pa.array(unique, pa.string())
        order = pc.array_sort_indices(addresses)
        table = table.take(order)
        copy = np.arange(len(keys)) if unique == keys else _first_copies(table.column(ROW_KEY))
        return cls(table, addresses.take(order), copy)

    def __len__(self) -> int:
        return len(self.addresses)

    @cached_property
    def address_list(self) -> list[str]:
        """The addresses as Python strings."""
        return self.addresses.to_pylist()

    def numbers(self, column: str) -> np.ndarray:
        """A numeric column as float64, null as NaN.

        Raises:
            UsageError: The column isn't numeric.
        """
        values = self.table.column(column)
        kind = values.type
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind)):
            raise UsageError(f"column {column!r} is {kind}; a number is needed, and null where a row has none")
        return _numpy(values.cast(pa.float64()))

    def labels(self, column: str) -> tuple[np.ndarray, list[str], int]:
        """Group codes, names in ascending order, and how many rows have no label.

        Rows without a label form a bucket of their own, "(no task)" for `row_task` and "(no NAME)" for another column.
        """
        values = self.table.column(column)
        if pa.types.is_nested(values.type):
            raise UsageError(f"column {column!r} is {values.type}; groups need one label a row")
        encoded = _codes(values.cast(pa.string()))
        names = encoded.dictionary.to_pylist()
        codes = _numpy(encoded.indices.fill_null(-1)).astype(np.int64)
        unlabelled = int((codes < 0).sum())
        if unlabelled:
            bucket = f"(no {column.removeprefix('row_')})"
            while bucket in names:
                bucket = f"({bucket})"
            codes[codes < 0] = len(names)
            names.append(bucket)
        rank = sorted(range(len(names)), key=names.__getitem__)
        place = np.empty(len(names), dtype=np.int64)
        place[rank] = np.arange(len(names))
        return place[codes], [names[i] for i in rank], unlabelled

    def scores(self, score: str) -> tuple[np.ndarray, np.ndarray]:
        """Scores (float64, NaN where there is none) and why not (text, "" where there is one)."""
        names = self.table.column_names
        found = None if score in names else derive.split_name(score, names)
        values = derive.derived(self.table, found[1], found[0]) if found else self.numbers(score)
        reasons = np.full(len(self), "", dtype=object)
        lacking = ~np.isfinite(values)
        reasons[lacking] = "no score"
        reasons[np.isinf(values)] = "non_finite"
        status = f"{found[0]}loss_status" if found else "loss_status"
        if status in names:
            told = self.statuses(status)
            reasons[lacking & (told != "")] = told[lacking & (told != "")]
        return np.where(lacking, np.nan, values), reasons

    def statuses(self, column: str = ROW_STATUS) -> np.ndarray:
        """Why a row can't be used, as objects: "" where it can or where there is no such column."""
        if column not in self.table.column_names:
            return np.full(len(self), "", dtype=object)
        values = _numpy(self.table.column(column).cast(pa.string()).fill_null("no status"))
        return np.where(values == OK, "", values)


def _numpy(column: pa.Array | pa.ChunkedArray) -> np.ndarray:
    return column.to_numpy(zero_copy_only=False)


def _column_names(scored: object) -> list[str]:
    if isinstance(scored, pa.Table):
        return scored.column_names
    from datasets import Dataset

    if not isinstance(scored, Dataset):
        raise UsageError(
            f"a sampler looks at a whole scored pool: give a Dataset or a pyarrow Table, not {type(scored).__name__}"
        )
    return scored.column_names


def _require(wanted: Sequence[str], names: Sequence[str], n: int) -> None:
    missing = [name for name in dict.fromkeys(wanted) if name not in names]
    if missing:
        empty = "; the pool is empty, and map adds no column to an empty pool" if n == 0 else ""
        raise UsageError(
            f"the scored pool has no column {', '.join(map(repr, missing))} among {', '.join(names) or 'none'}{empty}; "
            "hs.score(pool, scorer) adds row_key, row_task, row_status and the scorer's columns"
        )


def _first_copies(keys: pa.ChunkedArray) -> np.ndarray:
    codes = _codes(keys).indices.to_numpy()
    first = np.full(len(keys), len(keys), dtype=np.int64)
    np.minimum.at(first, codes, np.arange(len(keys)))
    return first[codes]


def _codes(column: pa.ChunkedArray) -> pa.DictionaryArray:
    return pa.concat_arrays(column.chunks or [pa.array([], column.type)]).dictionary_encode()
