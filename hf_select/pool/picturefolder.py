"""A folder of pictures as a pool: one row a picture, its task the folder it lies in."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from hf_select.errors import UsageError
from hf_select.pool.localjson import files_fingerprint

if TYPE_CHECKING:
    from datasets import Dataset

SUFFIXES = frozenset((".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"))


def read_pictures(folder: Path) -> Dataset | None:
    """Read a folder of pictures, as `datasets` reads one called an imagefolder; None where it holds none.

    Args:
        folder: The folder; hidden files and folders are left out.

    Returns:
        Columns `id` (the path below `folder`), `image` (`Image`, not opened) and, where pictures lie in folders,
        `task` (the folder's path below `folder`; null for a picture beside the folders), in the order of the paths. The
        fingerprint holds size and time of every file, so that scores are computed again when a picture changes.

    Raises:
        UsageError: A file has a name that is no UTF-8.

    Cost: one walk through the folder and one `stat` a picture.
    """
    from datasets import Dataset, Features, Image, Value
    from datasets.table import InMemoryTable

    names = sorted(
        found.as_posix() for path in folder.rglob("*") if _is_picture(found := path.relative_to(folder), path)
    )
    if not names:
        return None
    bad = next((name for name in names if any("\ud800" <= letter <= "\udfff" for letter in name)), None)
    if bad is not None:
        raise UsageError(f"the picture {bad!r} has a name that is no UTF-8: rename it.")
    tasks = [os.path.dirname(name) or None for name in names]
    paths = [os.path.abspath(folder / name) for name in names]
    columns = {"id": names, "image": [{"bytes": None, "path": path} for path in paths]}
    features = Features({"id": Value("string"), "image": Image()})
    if any(tasks):
        columns["task"], features["task"] = tasks, Value("string")
    table = pa.table(columns, schema=features.arrow_schema)
    key = hashlib.blake2b("\n".join(paths).encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
    return Dataset(InMemoryTable(table), fingerprint=files_fingerprint(key, paths))


def _is_picture(name: Path, path: Path) -> bool:
    hidden = any(part.startswith(".") for part in name.parts)
    return not hidden and path.suffix.lower() in SUFFIXES and path.is_file()
