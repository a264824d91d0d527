"""What a public schema is here: how it is recognised, and how a record becomes turns, images and a task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hf_select.pool.images import RowImage
from hf_select.pool.turns import RowFault, Turn, as_records

Record = Mapping[str, Any]

TASK_COLUMNS = ("task", "task_name", "dataset_name", "data_source")
ID_COLUMNS = ("id", "questionId", "question_id", "qid", "unique_idx", "uid")
IMAGE_COLUMNS = ("images", "image", "image_base64_str")
OTHER_MEDIA_COLUMNS = ("video", "videos", "audio", "audios")


@dataclass(frozen=True)
class Schema:
    """One public schema.

    Attributes:
        name: What `--schema` takes.
        title: One line for people.
        needs: Columns without which a pool isn't in this schema.
        fits: Tells from the column names and one record whether a pool that has `needs` is in this schema.
        turns: Reads a record's turns; gets the record and the image root.
        fields: Columns that `turns` reads beside `needs`.
        task: Reads the task label from a record where no task column exists.
        refusal: For a recognised schema that can't be used: why.
        instructions: Whether its rows have questions and answers; without, a row is its pictures and its task.
    """

    name: str
    title: str
    needs: tuple[str, ...]
    turns: Callable[[Record, str | None], list[Turn]]
    fits: Callable[[frozenset[str], Record], bool] = lambda columns, record: True
    fields: tuple[str, ...] = ()
    task: Callable[[Record], Any] | None = None
    refusal: str | None = None
    instructions: bool = True

    def matches(self, columns: frozenset[str], record: Record) -> bool:
        """Whether a pool with these columns and this record is in the schema."""
        return columns.issuperset(self.needs) and self.fits(columns, record)


def images_of(record: Record, root: str | None) -> list[RowImage | None]:
    """The images of a record's image columns in order, None for a null inside a list.

    The first image column that holds anything counts: a text, bytes, a struct or a picture is one image, a list many.
    """
    for column in IMAGE_COLUMNS:
        value = record.get(column)
        if value is None or value == "" or value == []:
            continue
        values = as_records(value) if _is_list(value) else [value]
        if column == "image_base64_str":
            name = f"base64 image of column {column!r}"
            return [RowImage.from_base64(v, name) if isinstance(v, str) else RowImage.of(v) for v in values]
        found = [None if _is_null(v) else RowImage.of(v, root) for v in values]
        return [] if found == [None] and not _is_list(value) else found
    return []


def refuse_other_media(record: Record) -> None:
    """Raise "unsupported_modality" for a record with a video or a sound."""
    for column in OTHER_MEDIA_COLUMNS:
        value = record.get(column)
        if value is not None and value != "" and not (isinstance(value, list) and all(v is None for v in value)):
            raise RowFault("unsupported_modality", f"has a value in {column!r}; only images and texts are read")


def _is_list(value: Any) -> bool:
    if isinstance(value, Mapping):
        return bool(value) and all(isinstance(cell, list) for cell in value.values())
    return isinstance(value, list | tuple)


def _is_null(value: Any) -> bool:
    if isinstance(value, Mapping):
        return value.get("bytes") is None and not value.get("path")
    return value is None or value == ""
