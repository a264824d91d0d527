"""From a batch of any pool to rows: the schema found, images undecoded, values exactly as they are stored."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from hf_select.errors import UnknownName
from hf_select.pool.build import build, build_pictures, named
from hf_select.pool.images import RowImage
from hf_select.pool.row import Row
from hf_select.pool.schema import ID_COLUMNS, TASK_COLUMNS, Record, Schema, images_of, refuse_other_media
from hf_select.pool.schemas import fields_of, find_schema
from hf_select.pool.turns import RowFault


@dataclass(frozen=True)
class PoolView:
    """How a pool is read as rows; a scorer carries one.

    Attributes:
        schema: Name of the public schema; found by the columns without one. "images" reads any pool with an image
            column as its pictures and tasks, and hides the instructions it may have.
        task_field: Column with the task label; the schema's own without one.
        image_root: Folder that relative image paths start from.
        allow_urls: Fetch pictures named by public https URLs, each once; without it they are refused.
    """

    schema: str | None = None
    task_field: str | None = None
    image_root: str | None = None
    allow_urls: bool = False

    def rows(self, batch: Any) -> list[Row]:
        """Read a batch.

        Args:
            batch: What `Dataset.map(batched=True)` hands over (a `LazyBatch`: its images are not decoded), a plain dict
                of lists, or a `pyarrow.Table`.

        Returns:
            One row for each of the batch, in order; a row that can't be used has a status and a reason.

        Raises:
            UsageError: The schema isn't recognised, or can't be used.
            UnknownName: `schema` or `task_field` is unknown.
        """
        columns, all_names = self._columns(batch)
        n_rows = max(map(len, columns.values()), default=0)
        records = [{name: values[at] for name, values in columns.items()} for at in range(n_rows)]
        schema = self._schema(all_names, records)
        if self.task_field is not None and self.task_field not in all_names:
            raise UnknownName("task field", self.task_field, all_names)
        task_column = self.task_field or next((name for name in TASK_COLUMNS if name in all_names), None)
        return [self._row(record, schema, task_column) for record in records]

    def schema_of(self, batch: Any) -> str:
        """The name of the schema a batch is in; raises as `rows` does."""
        columns, all_names = self._columns(batch)
        n_rows = max(map(len, columns.values()), default=0)
        return self._schema(all_names, [{n: v[at] for n, v in columns.items()} for at in range(n_rows)]).name

    def _schema(self, names: frozenset[str], records: list[dict[str, Any]]) -> Schema:
        telling = ("texts", "messages", "conversation", "image")
        sample = {n: next((r[n] for r in records if r.get(n)), None) for n in telling if n in names}
        return find_schema(names, sample, self.schema)

    def _columns(self, batch: Any) -> tuple[dict[str, list], frozenset[str]]:
        wanted = fields_of(self.schema) | ({self.task_field} if self.task_field is not None else set())
        if isinstance(batch, pa.Table):
            names = frozenset(batch.column_names)
            return {name: exact_values(batch[name]) for name in batch.column_names if name in wanted}, names
        names = frozenset(batch)
        if isinstance(batch, dict):
            return {name: values for name, values in batch.items() if name in wanted}, names
        raw = batch.keys_to_format
        columns = {n: exact_values(batch.pa_table[n]) if n in raw else batch[n] for n in batch if n in wanted}
        return columns, names

    def _row(self, record: Record, schema: Schema, task_column: str | None) -> Row:
        row_id = next((str(record[name]) for name in ID_COLUMNS if record.get(name) is not None), None)
        task = None
        try:
            label = record.get(task_column) if task_column is not None else schema.task and schema.task(record)
            task = None if label is None else str(label)
            refuse_other_media(record)
            images = images_of(record, self.image_root)
            if not schema.instructions:
                return build_pictures(images, id=row_id, task=task, allow_urls=self.allow_urls)
            turns = schema.turns(record, self.image_root)
            return build(turns, images, id=row_id, task=task, allow_urls=self.allow_urls)
        except RowFault as fault:
            reason = f"{named(row_id)} {fault.reason}"
            return Row(task=task, id=row_id, status=fault.status, reason=reason, content=_digest(record))


def exact_values(column: pa.ChunkedArray | pa.Array) -> list:
    """The values of an Arrow column as Python objects: images undecoded, JSON columns read without any loss."""
    values = column.to_pylist()
    convert = _converter(column.type)
    return values if convert is None else [convert(value) for value in values]


def _converter(kind: pa.DataType) -> Callable[[Any], Any] | None:
    if isinstance(kind, pa.JsonType):
        return lambda text: None if text is None else json.loads(text)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        inner = _converter(kind.value_type)
        return None if inner is None else lambda items: None if items is None else [inner(item) for item in items]
    if pa.types.is_struct(kind):
        inners = {field.name: convert for field in kind if (convert := _converter(field.type)) is not None}
        return None if not inners else lambda cell: None if cell is None else _apply(cell, inners)
    return None


def _apply(cell: dict[str, Any], inners: Mapping[str, Callable[[Any], Any]]) -> dict[str, Any]:
    return {name: inners[name](value) if name in inners else value for name, value in cell.items()}


def _digest(record: Record) -> str:
    def opaque(value: Any) -> str:
        return RowImage.of(value).digest

    blob = json.dumps(record, default=opaque, sort_keys=True).encode()
    return hashlib.blake2b(blob, digest_size=16).hexdigest()
