"""The folder that becomes a commit: rows or keys, selection, recipe, scores, plots; made in a place of our own."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_select.errors import HFSelectError, MissingExtra, UsageError
from hf_select.files import write_atomically
from hf_select.hub.card import is_hub_id
from hf_select.pool.embed import SHARD_BYTES, embedded_shards, estimated_bytes

if TYPE_CHECKING:
    from datasets import Dataset

    from hf_select.hub.content import Content
    from hf_select.sampling.selection import Selection

SCORES_FILE = "scores.parquet"
_OWN_FOLDERS = ("data/", "plots/")
_OWN_FILES = ("selection.parquet", "recipe.yaml", SCORES_FILE)
_DATA = (".parquet", ".arrow", ".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".tar", ".zip", ".gz", ".zst")
_TEMPORARY = "hf-select-publish-"
_SPARE = 50_000_000


def build(
    content: Content, folder: Path, *, mode: str = "full", shard_bytes: int = SHARD_BYTES
) -> tuple[str, ...] | None:
    """Write what `publish` sends to `folder`, but for the card: rows (in full), selection, recipe, scores, plots.

    Pictures have the bytes of their source files; no path, no user's name of this machine is in any file.

    Returns:
        Paths of the plots in the folder; None where matplotlib isn't installed.

    Raises:
        HFSelectError: The disk is too small, or the rows are not those of the selection.
    """
    selection = addressed(content, mode)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        if mode == "full":
            _check_space(content.rows, folder)
            _write_rows(content.rows, folder / "data", len(selection), shard_bytes)
        selection.save(folder)
        refuse_private((folder / "recipe.yaml").read_text("utf-8"), "recipe.yaml")
        if content.scored is not None:
            import pyarrow.parquet as pq

            pq.write_table(content.scored.replace_schema_metadata(None), folder / SCORES_FILE)
        return _plots(content, folder / "plots")
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise HFSelectError(f"the disk of {folder} is full: make room, or set TMPDIR to a larger one.") from error


def addressed(content: Content, mode: str) -> Selection:
    """The selection with where its pool is: what `load_selected` and a replay read.

    Raises:
        UsageError: Keys of a pool that nobody could join them with.
    """
    about = content.about
    on_hub = is_hub_id(about["pool"])
    if mode == "keys":
        _check_joinable(about, on_hub)
    view = {"schema": content.view.schema, "task_field": content.view.task_field}
    source = {"id": about["pool"], "on_hub": on_hub, "revision": about["pool_revision"], "view": view}
    source |= {name: about[name] for name in ("pool_split", "pool_config") if about.get(name)}
    known = {"pool": source, "method": dict(about["method"])} | {n: about[n] for n in ("scorers",) if n in about}
    return replace(content.selection, recipe={**content.selection.recipe, **known})


def is_ours(path: str) -> bool:
    """Whether a file of a repository is one that publishing writes, and may replace."""
    return path.startswith(_OWN_FOLDERS) or path in _OWN_FILES


def is_data(path: str) -> bool:
    """Whether a file may hold rows that `load_dataset` reads: what replacing another tool's data removes."""
    return is_ours(path) or path.lower().endswith(_DATA)


def refuse_private(text: str, where: str) -> None:
    """Refuse to publish a text that holds the token, or a folder of this machine.

    Raises:
        HFSelectError: It does; the token is not repeated.
    """
    from huggingface_hub import get_token

    token = get_token()
    if token and token in text:
        raise HFSelectError(f"{where} would tell your token: take it out of the command and settings of the run.")
    for place in {f"{Path.home()}/", f"{Path.cwd()}/", f"{tempfile.gettempdir()}/"} - {"//"}:
        if place in text:
            raise HFSelectError(f"{where} would tell the folder {place} of this machine: give names without folders.")


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder of this process, removed at the end; those of processes that were killed are removed first."""
    for left in Path(tempfile.gettempdir()).glob(f"{_TEMPORARY}*"):
        owner = left.name.removeprefix(_TEMPORARY).split("-")[0]
        if owner.isdecimal() and not _is_alive(int(owner)):
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"{_TEMPORARY}{os.getpid()}-") as name:
        yield Path(name)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _check_joinable(about: Mapping[str, Any], on_hub: bool) -> None:
    if not on_hub:
        raise UsageError(
            f"the pool {about['pool']} is no dataset on the Hub, so nobody could join keys with it: publish mode "
            "'full', or choose from a pool on the Hub."
        )
    if about["pool_revision"] is None:
        raise UsageError(
            f"the revision of the pool {about['pool']} is not known, so keys could meet other rows later: give its "
            "commit as pool_revision, or publish mode 'full'."
        )
    if about.get("generated"):
        raise UsageError("the instructions of these rows are in no pool: publish mode 'full'.")


def _write_rows(rows: Dataset | Path, folder: Path, expected: int, shard_bytes: int) -> None:
    import pyarrow.parquet as pq

    folder.mkdir(parents=True)
    if isinstance(rows, Path):
        for file in sorted(rows.glob("*.parquet")):
            shutil.copyfile(file, folder / file.name)
    else:
        for number, shard in enumerate(embedded_shards(rows, shard_bytes)):
            shard.to_parquet(folder / f"train-{number:05d}.parquet")
    written = sum(pq.read_metadata(file).num_rows for file in folder.glob("*.parquet"))
    if written != expected:
        raise HFSelectError(
            f"{written} rows were given for a selection of {expected}: give the selection's own rows, or run again."
        )


def _check_space(rows: Dataset | Path, folder: Path) -> None:
    if isinstance(rows, Path):
        needed = sum(file.stat().st_size for file in rows.glob("*.parquet"))
    else:
        needed = estimated_bytes(rows)
    free = shutil.disk_usage(folder).free
    if free < needed + _SPARE:
        raise HFSelectError(
            f"{(needed + _SPARE) / 1e9:.1f} GB are needed in {folder} and {free / 1e9:.1f} GB are free: make room, or "
            "set TMPDIR to a larger disk."
        )


def _plots(content: Content, folder: Path) -> tuple[str, ...] | None:
    from hf_select.report.plots import score_histogram, task_shares

    drawn: dict[str, bytes] = {}
    try:
        drawn["tasks.png"] = task_shares(content.about["tasks"])
        scores = _scores(content)
        if scores is not None:
            drawn["scores.png"] = score_histogram(*scores)
    except MissingExtra:
        return None
    for name, image in drawn.items():
        write_atomically(folder / name, image)
    return tuple(f"plots/{name}" for name in drawn)


def _scores(content: Content) -> tuple[Any, Any, str] | None:
    """The score that the sampler ranked by, over the pool, and which rows were picked."""
    import numpy as np

    from hf_select.sampling.columns import ScoredRows

    name = dict(content.selection.recipe.get("settings", {})).get("score")
    if content.scored is None or name is None:
        return None
    rows = ScoredRows.read(content.scored, [], score=name)
    picked = set(content.selection.keys)
    return rows.scores(name)[0], np.array([key in picked for key in rows.address_list]), name
