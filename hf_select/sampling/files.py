"""A Selection on disk: `selection.parquet` and `recipe.yaml` in one folder."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from hf_select.errors import UsageError
from hf_select.files import replacing, write_atomically
from hf_select.sampling.selection import Quota, Selection

TABLE_FILE = "selection.parquet"
RECIPE_FILE = "recipe.yaml"
_FORMAT = 1
_PARTS = {"format": int, "rows": int, "keys": str, "recipe": dict, "rejected": dict, "notes": list, "quotas": list}


def save_selection(selection: Selection, folder: Path) -> Path:
    """Write both files, each under a temporary name first; the YAML carries a digest of the keys in order."""
    about = {
        "format": _FORMAT,
        "rows": len(selection),
        "keys": _digest(selection),
        "recipe": dict(selection.recipe),
        "rejected": dict(selection.rejected),
        "notes": list(selection.notes),
        "quotas": [{k: v for k, v in asdict(quota).items() if v is not None} for quota in selection.quotas],
    }
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    try:
        text = yaml.dump(about, Dumper=dumper, sort_keys=False, allow_unicode=True, width=120)
    except yaml.representer.RepresenterError as error:
        raise UsageError(f"a recipe holds plain values only (text, numbers, lists, mappings): {error}") from error
    with replacing(folder / TABLE_FILE) as part:
        pq.write_table(selection.table, part)
    write_atomically(folder / RECIPE_FILE, text)
    return folder


def load_selection(folder: Path) -> Selection:
    """Read and validate both files.

    Raises:
        UsageError: In one sentence, what isn't as `save_selection` writes it.
    """
    for name in (TABLE_FILE, RECIPE_FILE):
        if not (folder / name).is_file():
            raise UsageError(f"{folder} is no saved selection: it has no {name}")
    try:
        about = yaml.load((folder / RECIPE_FILE).read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{folder / RECIPE_FILE} isn't YAML of plain values: {' '.join(str(error).split())}"
        ) from error
    _check(about, folder / RECIPE_FILE)
    try:
        table = pq.read_table(folder / TABLE_FILE)
    except pa.ArrowException as error:
        raise UsageError(f"{folder / TABLE_FILE} isn't a parquet file: {error}") from error
    try:
        quotas = tuple(Quota(**quota) for quota in about["quotas"])
    except TypeError as error:
        raise UsageError(f"{folder / RECIPE_FILE} has a quota of another layout: {error}") from error
    try:
        selection = Selection(table, quotas, about["recipe"], tuple(about["notes"]), about["rejected"])
    except UsageError as error:
        raise UsageError(f"{folder / TABLE_FILE}: {error}") from error
    if about["rows"] != len(selection) or about["keys"] != _digest(selection):
        raise UsageError(f"{TABLE_FILE} and {RECIPE_FILE} in {folder} don't belong together; save the selection again")
    return selection


def _check(about: Any, path: Path) -> None:
    if not isinstance(about, dict):
        raise UsageError(f"{path} holds no mapping; a saved selection has {', '.join(_PARTS)}")
    for name, kind in _PARTS.items():
        if not isinstance(about.get(name), kind):
            raise UsageError(f"{path} has no {name!r} that is a {kind.__name__}; save the selection again")
    if about["format"] != _FORMAT:
        raise UsageError(f"{path} has format {about['format']}; this version of hf_select reads {_FORMAT}")


def _digest(selection: Selection) -> str:
    return hashlib.blake2b("\n".join(selection.keys).encode(), digest_size=16).hexdigest()
