"""Reading a pool from wherever it is: a dataset in memory, the Hub, a saved dataset, Parquet, or JSON beside images."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_select.errors import UnknownName, UsageError
from hf_select.pool.hub import commit_of, load_at
from hf_select.pool.images import is_reference_elsewhere
from hf_select.pool.localjson import read_json
from hf_select.pool.picturefolder import read_pictures
from hf_select.pool.view import PoolView, exact_values

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset, IterableDataset

_JSON = (".json", ".jsonl", ".ndjson")
_PARQUET = (".parquet",)
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")
_SAVED = ("dataset_dict.json", "state.json")


def read_pool(
    source: Any,
    *,
    split: str | None = None,
    config: str | None = None,
    revision: str | None = None,
    schema: str | None = None,
    task_field: str | None = None,
    image_root: str | os.PathLike[str] | None = None,
    streaming: bool = False,
) -> Dataset | IterableDataset:
    """Read a pool; no value of it changes, and images stay where they are.

    Args:
        source: A `Dataset`, `DatasetDict` or `IterableDataset`; a Hub id "org/name" or "org/name@revision"; a file, a
            list of files or a folder of JSON, JSONL or Parquet; a folder of pictures (see
            `picturefolder.read_pictures`); a folder written by `save_to_disk`.
        split: The split to take; needed only where there are several and none is called "train".
        config: The configuration (subset) of a Hub pool.
        revision: The revision of a Hub pool; another way to say "@revision".
        schema: Name of the public schema, where it shouldn't be recognised by the columns.
        task_field: Column with the task label.
        image_root: Folder that relative image paths start from; for local files the file's or the given folder itself.
        streaming: Give an `IterableDataset` whose images `datasets` doesn't decode, so that a broken one costs its own
            row and not the stream.

    Returns:
        The pool. Image columns of local JSON are `Image` features with absolute paths (see `localjson.read_json`).

    Raises:
        UsageError: The source doesn't exist or is broken, the split is unclear, or the schema can't be used.
    """
    pool = _read(source, split=split, config=config, revision=revision, root=image_root, streaming=streaming)
    view = PoolView(schema, task_field, None if image_root is None else os.fspath(image_root))
    _look(pool, view)
    if not streaming:
        return pool
    stream = pool if _is_iterable(pool) else pool.to_iterable_dataset()
    return stream.decode(False) if stream.features else stream


def _read(source: Any, *, root: str | os.PathLike[str] | None, split: str | None, streaming: bool, **hub: Any) -> Any:
    if not isinstance(source, str | os.PathLike | list | tuple):
        _no_hub_words("a dataset in memory", **hub)
        pool = _one_split(source, split)
        return pool if root is None or _is_iterable(pool) else with_absolute_paths(pool, root)
    paths = [Path(os.path.expanduser(p)) for p in ([source] if isinstance(source, str | os.PathLike) else source)]
    if not paths:
        raise UsageError("no pool was given: give a Hub id, a folder, or JSON, JSONL or Parquet files.")
    missing = [path for path in paths if not path.exists()]
    if not missing:
        _no_hub_words("a local pool", **hub)
        return _read_local(paths, split, root)
    if len(paths) > 1 or not isinstance(source, str) or _looks_local(source):
        raise UsageError(f"no file or folder {str(missing[0])!r}: give one that exists, or a Hub id such as org/name.")
    return _read_hub(source, split=split, streaming=streaming, **hub)


def _read_local(paths: list[Path], split: str | None, root: str | os.PathLike[str] | None) -> Any:
    import datasets

    if len(paths) == 1 and any((paths[0] / name).is_file() for name in _SAVED):
        pool = _one_split(datasets.load_from_disk(str(paths[0])), split)
        return pool if root is None else with_absolute_paths(pool, root)
    if split not in (None, "train"):
        raise UsageError(f"local files have the one split 'train', not {split!r}: leave the split out.")
    if len(paths) == 1 and paths[0].is_dir() and not _tables(paths[0]):
        pictures = read_pictures(paths[0])
        if pictures is not None:
            return pictures
    files = [file for path in paths for file in _files(path)]
    kinds = {"json" if file.suffix.lower() in _JSON else "parquet" for file in files}
    if len(kinds) > 1:
        raise UsageError(f"{paths[0]} holds JSON and Parquet files side by side: name the files to read.")
    folder = Path(root) if root is not None else next((path for path in paths if path.is_dir()), None)
    if kinds == {"json"}:
        return read_json(files, folder)
    pool = datasets.load_dataset("parquet", data_files=[str(file) for file in files], split="train")
    return with_absolute_paths(pool, folder or files[0].parent)


def _files(path: Path) -> list[Path]:
    if path.is_file():
        if path.suffix.lower() in _JSON + _PARQUET:
            return [path]
        raise UsageError(f"{path} is no JSON, JSONL or Parquet file; read are {', '.join(_JSON + _PARQUET)}.")
    if (path / "selection.parquet").is_file() and (path / "data").is_dir():
        path = path / "data"  # a subset folder: the selection beside the rows is no pool
    files = _tables(path)
    if not files:
        raise UsageError(f"the folder {path} holds no JSON, JSONL or Parquet file, and no picture.")
    return files


def _tables(folder: Path) -> list[Path]:
    for found in (folder.iterdir(), folder.rglob("*")):
        files = sorted(file for file in found if file.is_file() and file.suffix.lower() in _JSON + _PARQUET)
        if files:
            return files
    return []


def _looks_local(source: str) -> bool:
    return not _HUB_ID.fullmatch(source) or Path(source).suffix.lower() in _JSON + _PARQUET or source.startswith(".")


def _read_hub(
    source: str, *, split: str | None, streaming: bool, config: str | None, revision: str | None
) -> Dataset | IterableDataset:
    repo, _, at = source.partition("@")
    if at and revision and at != revision:
        raise UsageError(f"{source} names the revision {at!r}, but {revision!r} was given too: keep one of them.")
    commit = commit_of(repo, at or revision, "dataset")
    pool = load_at(repo, commit, config=config, split=split, streaming=streaming)
    return _one_split(pool, None)


def _no_hub_words(what: str, *, config: str | None, revision: str | None) -> None:
    if config is not None or revision is not None:
        raise UsageError(f"a configuration or a revision belongs to a Hub pool, but {what} was given: leave it out.")


def _is_iterable(pool: Any) -> bool:
    import datasets

    return isinstance(pool, datasets.IterableDataset)


def _one_split(pool: Any, split: str | None) -> Any:
    import datasets

    if isinstance(pool, datasets.Dataset | datasets.IterableDataset):
        if split is not None and pool.split is not None and str(pool.split) != split:
            raise UsageError(f"the dataset is the split {str(pool.split)!r}, not {split!r}: leave the split out.")
        return pool
    if not isinstance(pool, Mapping):
        raise UsageError(
            f"a pool can't be read from a {type(pool).__name__}: give a Dataset, DatasetDict, IterableDataset, "
            "a Hub id, a folder, or JSON, JSONL or Parquet files."
        )
    if split is not None and split not in pool:
        raise UnknownName("split", split, pool)
    if split is None and len(pool) > 1 and "train" not in pool:
        raise UsageError(f"the pool has the splits {', '.join(sorted(pool))}: choose one with --split (split=).")
    name = split or ("train" if "train" in pool else next(iter(pool), None))
    if name is None:
        raise UsageError("the pool has no split at all: give a dataset with rows.")
    return pool[name]


def _look(pool: Any, view: PoolView) -> None:
    """Refuse a pool that can't be used before anything long begins; one batch of rows is looked at."""
    if _is_iterable(pool):
        return
    head = pool.with_format("arrow")[:100]
    if view.task_field is not None and view.task_field not in head.column_names:
        raise UnknownName("task field", view.task_field, head.column_names)
    view.schema_of(head)


def with_absolute_paths(pool: Dataset, root: str | os.PathLike[str]) -> Dataset:
    """Make relative paths in the columns `image` and `images` start from `root`; other columns are left as they are.

    Cost: looks at every path; rewrites the table where one is relative.
    """
    base = os.path.abspath(root)
    columns = [name for name in ("image", "images") if name in pool.column_names and _has_relative(pool, name)]
    if not columns:
        return pool
    moved = pool.with_format("arrow").map(
        _absolute_batch,
        batched=True,
        fn_kwargs={"columns": columns, "root": base},
        features=pool.features,
        desc="resolving image paths",
    )
    return moved.with_format(None)


def _has_relative(pool: Dataset, name: str) -> bool:
    import pyarrow as pa

    for table in pool.select_columns([name]).with_format("arrow").iter(batch_size=1000):
        column = table[name].combine_chunks()
        while pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
            column = column.flatten()
        if pa.types.is_struct(column.type) and column.type.get_field_index("path") >= 0:
            if column.type.get_field_index("bytes") >= 0:
                column = column.filter(column.field("bytes").is_null())
            column = column.field("path")
        if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
            continue
        if any(path and not os.path.isabs(path) and not is_reference_elsewhere(path) for path in column.to_pylist()):
            return True
    return False


def _absolute_batch(table: pa.Table, columns: Sequence[str], root: str) -> pa.Table:
    import pyarrow as pa

    for name in columns:
        at = table.column_names.index(name)
        kind = table.schema.field(name).type
        values = _absolute(exact_values(table[name]), root)
        table = table.set_column(at, table.schema.field(name), pa.chunked_array([pa.array(values, kind)]))
    return table


def _absolute(value: Any, root: str) -> Any:
    if isinstance(value, list):
        return [_absolute(item, root) for item in value]
    if isinstance(value, dict) and "path" in value:
        return value if value.get("bytes") is not None else {**value, "path": _absolute(value["path"], root)}
    if isinstance(value, str) and value and not is_reference_elsewhere(value):
        return os.path.join(root, value)
    return value
