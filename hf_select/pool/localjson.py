"""Local JSON pools as Arrow: one pass finds the types, one writes the table, and a second read finds it written.

The table lies in the datasets cache under `hf_select/`, named by the content of the JSON files; the dataset's
fingerprint also holds size and time of every image file, so that scores are computed again when an image changes.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import pyarrow as pa

from hf_select.errors import UsageError
from hf_select.pool.images import is_reference_elsewhere
from hf_select.pool.jsonfiles import records
from hf_select.pool.shapes import NULL, Shape, feature_of, fits, merged, shape_of

if TYPE_CHECKING:
    from datasets import Dataset, Features

logger = logging.getLogger(__name__)

_FORMAT = 1
_IMAGE_COLUMNS = ("image", "images")
_CHAT_COLUMNS = ("messages", "prompt", "conversation", "conversations")
_BATCH_ROWS = 1000
_BATCH_CHARACTERS = 1 << 25


@dataclass
class _Column:
    """What is known of one column: its shape, and for an image column which forms its values have."""

    shape: Shape = NULL
    forms: set[str] = field(default_factory=set)
    elsewhere: bool = False


def read_json(files: Sequence[Path], root: Path | None = None) -> Dataset:
    """Read JSON and JSONL files as one dataset, in the order given.

    Args:
        files: The files; a column that is missing in some of them is null there.
        root: Folder that image paths start from; each file's own folder without one.

    Returns:
        A memory-mapped dataset. `image`/`images` columns of paths become `Image`/`List(Image)` with absolute paths (not
        decoded by `datasets` where some are URLs or data: URIs); every other value is as it is in the file, mixed
        columns as `Json`. Paths inside typed chat parts become absolute too.

    Raises:
        UsageError: A file is broken or not UTF-8, a record is no object, or there is no record at all.

    Cost: two passes of JSON parsing the first time, one hash of the files and one `stat` per image later. Memory: 1,000
    rows, or one MiB of an array's text.
    """
    from datasets import Dataset, config
    from datasets.arrow_reader import ArrowReader

    roots = [os.path.abspath(root if root is not None else file.parent) for file in files]
    key = _content_key(files, roots)
    folder = Path(config.HF_DATASETS_CACHE) / "hf_select" / key
    if not (folder / "pool.arrow").is_file():
        logger.info("reading %d JSON file(s) for the first time", len(files))
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = folder.parent / f"writing-{uuid.uuid4().hex}"
        scratch.mkdir()
        try:
            _write(files, roots, scratch)
            _publish(scratch, folder)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    table = ArrowReader.read_table(str(folder / "pool.arrow"))
    return Dataset(table, fingerprint=files_fingerprint(key, json.loads((folder / "images.json").read_bytes())))


def _content_key(files: Sequence[Path], roots: list[str]) -> str:
    known = hashlib.blake2b(f"{_FORMAT}".encode(), digest_size=16)
    for file, root in zip(files, roots, strict=True):
        with open(file, "rb") as stream:
            known.update(hashlib.file_digest(stream, "blake2b").digest())
        known.update(root.encode("utf-8", "surrogateescape"))
    return known.hexdigest()


def _publish(scratch: Path, folder: Path) -> None:
    try:
        scratch.rename(folder)
    except OSError:
        # Another process wrote the same content first.
        if not (folder / "pool.arrow").is_file():
            raise


def files_fingerprint(key: str, paths: Iterable[str]) -> str:
    """A dataset's fingerprint from what names its table, and size and time of the files it points to."""
    known = hashlib.blake2b(key.encode(), digest_size=8)
    for path in paths:
        try:
            info = os.stat(path)
            known.update(f"{info.st_size} {info.st_mtime_ns};".encode())
        except (OSError, ValueError):
            known.update(b"missing;")
    return known.hexdigest()


def _write(files: Sequence[Path], roots: list[str], folder: Path) -> None:
    from datasets import Features

    columns = _survey(files)
    if not columns:
        raise UsageError(f"no record in {', '.join(map(str, files))}: give files with at least one JSON object.")
    features = Features({name: _feature(column) for name, column in columns.items()})
    schema = features.arrow_schema
    paths: dict[str, None] = {}
    with pa.OSFile(str(folder / "pool.arrow"), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
        for batch, root in _batches(files, roots):

            def absolute(path: str, root: str = root) -> str:
                found = _absolute(path, root)
                if not is_reference_elsewhere(found):
                    paths[found] = None
                return found

            writer.write_batch(_arrow(batch, features, schema, absolute))
    (folder / "images.json").write_text(json.dumps(list(paths)))


def _survey(files: Sequence[Path]) -> dict[str, _Column]:
    columns: dict[str, _Column] = {}
    for file in files:
        for record, _, check_text in records(file):
            for name, value in record.items():
                column = columns.get(name)
                if column is None:
                    column = columns[_name(name, file)] = _Column()
                if check_text or not fits(value, column.shape):
                    column.shape = merged(column.shape, shape_of(value, check_text=check_text))
                if name in _IMAGE_COLUMNS and value is not None:
                    _note_image(column, value)
    return columns


def _name(name: str, file: Path) -> str:
    if not _encodes(name) or "\0" in name:
        raise UsageError(f"{file} has the key {name!r}, which can't name a column: rename it.")
    return name


def _note_image(column: _Column, value: Any) -> None:
    values = value if isinstance(value, list) else [value]
    if all(v is None or (isinstance(v, str) and _encodes(v)) for v in values):
        column.forms.add("list" if isinstance(value, list) else "text")
        column.elsewhere |= any(v is not None and is_reference_elsewhere(v) for v in values)
    else:
        column.forms.add("other")


def _encodes(text: str) -> bool:
    try:
        return text.isascii() or bool(text.encode())
    except UnicodeEncodeError:
        return False


def _feature(column: _Column) -> Any:
    from datasets import Image, List

    if not column.forms or "other" in column.forms:
        return feature_of(column.shape)
    image = Image(decode=not column.elsewhere)
    return List(image) if "list" in column.forms else image


def _batches(files: Sequence[Path], roots: list[str]) -> Iterator[tuple[list[dict[str, Any]], str]]:
    for file, root in zip(files, roots, strict=True):
        batch: list[dict[str, Any]] = []
        size = 0
        for record, length, _ in records(file):
            batch.append(record)
            size += length
            if len(batch) == _BATCH_ROWS or size >= _BATCH_CHARACTERS:
                yield batch, root
                batch, size = [], 0
        if batch:
            yield batch, root


def _arrow(
    batch: list[dict[str, Any]], features: Features, schema: pa.Schema, absolute: Callable[[str], str]
) -> pa.RecordBatch:
    from datasets import Image, List

    arrays = []
    for name, feature in features.items():
        values = [record.get(name) for record in batch]
        kind = schema.field(name).type
        if isinstance(feature, Image):
            values = [_image(value, absolute) for value in values]
        elif isinstance(feature, List) and isinstance(feature.feature, Image):
            values = [_images(value, absolute) for value in values]
        elif name in _CHAT_COLUMNS:
            values = [_with_absolute_parts(value, absolute) for value in values]
        if isinstance(kind, pa.JsonType):
            texts = [None if value is None else json.dumps(value) for value in values]
            arrays.append(pa.ExtensionArray.from_storage(kind, pa.array(texts, kind.storage_type)))
        else:
            arrays.append(pa.array(values, kind))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _image(path: str | None, absolute: Callable[[str], str]) -> dict[str, str | None] | None:
    return {"bytes": None, "path": absolute(path)} if path else None


def _images(value: str | list[str | None] | None, absolute: Callable[[str], str]) -> list[Any] | None:
    if value is None or value == "":
        return None
    return [_image(path, absolute) for path in (value if isinstance(value, list) else [value])]


def _with_absolute_parts(value: Any, absolute: Callable[[str], str]) -> Any:
    if isinstance(value, list):
        return [_with_absolute_parts(item, absolute) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("type") in ("image", "image_url"):
        keys = ("image", "image_url", "url", "path")
        return {k: absolute(v) if k in keys and isinstance(v, str) and v else v for k, v in value.items()}
    return {k: _with_absolute_parts(v, absolute) if isinstance(v, list) else v for k, v in value.items()}


def _absolute(path: str, root: str) -> str:
    if is_reference_elsewhere(path):
        return path
    local = unquote(urlsplit(path).path) if path.lower().startswith("file://") else path
    return os.path.join(root, local)
