"""Sharing scores: a scored pool's columns as a small dataset keyed by row, for anybody to choose from without a GPU."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_select.errors import HFSelectError, UsageError
from hf_select.files import replacing, write_atomically
from hf_select.hub.card import card_metadata, is_hub_id, size_category
from hf_select.hub.commit import Published, commit_folder
from hf_select.hub.folder import temporary_folder
from hf_select.hub.merge import merge_card
from hf_select.hub.preflight import Found, Target, check_card, preflight
from hf_select.hub.render import render_card
from hf_select.hub.trouble import retrying

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset

    from hf_select.pool.view import PoolView

FACTS = ("row_key", "row_task", "row_status", "row_reason", "row_images", "row_turns", "row_image_key")
ABOUT_FILE = "scores.json"
TABLE_FILE = "scores.parquet"
_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,79}")


@dataclass(frozen=True, kw_only=True)
class Scores:
    """The columns of one scorer, or of several, over one pool.

    Attributes:
        name: What this set of columns is called beside others in one repository.
        table: `row_key` and other facts of every row in the pool's order, and the scorers' columns; no picture.
        pool: The pool's Hub id, or its file's name.
        pool_revision: Its commit.
        scorers: The scorers' entries: name, version, model, weights, dtype.
    """

    name: str
    table: pa.Table
    pool: str
    pool_revision: str | None = None
    scorers: tuple[Mapping[str, Any], ...] = field(default_factory=tuple)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise UsageError(f"{self.name!r} is no name for scores: letters, digits, '.', '_' and '-', up to 80.")
        missing = [name for name in ("row_key", "row_status") if name not in self.table.column_names]
        if missing:
            raise UsageError(f"the scores have no column {', '.join(missing)}: give what hs.score returns.")
        kinds = {name: str(self.table.schema.field(name).type) for name in self.table.column_names}
        odd = [name for name, kind in kinds.items() if "struct" in kind or "binary" in kind]
        if odd:
            raise UsageError(f"columns {', '.join(odd)} hold no scores (pictures?): give the columns of scores alone.")

    @property
    def about(self) -> dict[str, Any]:
        """What is stored beside the table."""
        return {
            "name": self.name,
            "pool": self.pool,
            "pool_revision": self.pool_revision,
            "rows": len(self.table),
            "pool_keys": keys_digest(self.table["row_key"].to_pylist()),
            "columns": [name for name in self.table.column_names if name not in FACTS],
            "scorers": [dict(scorer) for scorer in self.scorers],
        }


def push_scores(
    scores: Scores,
    repo_id: str,
    *,
    private: bool = True,
    overwrite: bool = False,
    note: Callable[[str], None] = lambda text: None,
    sleep: Callable[[float], None] = time.sleep,
) -> Published:
    """Put scores into a dataset repository by one commit, beside those of other names that are there.

    Raises:
        HFSelectError: As `publish`; also where scores of that name are there with other numbers, without `overwrite`.
    """
    target = Target(repo_id, private=private, overwrite=overwrite)
    found = preflight(target, sleep=sleep)
    others = _known(found, repo_id, sleep)
    old = others.get(scores.name)
    if old is not None and old["pool_keys"] != scores.about["pool_keys"] and not overwrite:
        raise HFSelectError(
            f"{repo_id} holds scores called {scores.name} of another pool: choose another name, or add --overwrite."
        )
    ours = _card(scores, others | {scores.name: scores.about}, repo_id)
    check_card(merge_card(found.card, ours), target, sleep=sleep)
    with temporary_folder() as folder:
        _write(scores, folder / scores.name)
        return commit_folder(
            folder,
            target,
            found,
            card=lambda there: merge_card(there, ours),
            message=f"scores {scores.name} of {len(scores.table):,} rows of {scores.pool}",
            owned=lambda path: False,
            note=note,
            sleep=sleep,
        )


def load_scores(
    source: str,
    pool: Dataset | None = None,
    *,
    name: str | None = None,
    view: PoolView | None = None,
    revision: str | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> pa.Table:
    """Return shared scores as a table to choose from, checked against the pool.

    Args:
        source: A repository of `push_scores`, or a folder that `hf-select scores pull` wrote.
        pool: The pool the scores are of; every row's key is computed and looked up. None takes the scores as they are.
        name: Which scores, where the repository has several.
        view: How the pool's rows are read.
        revision: Branch, tag or commit of the repository.
        sleep: Waits for so many seconds between tries.

    Returns:
        The columns in the pool's order. Rows of the pool that have no scores have `row_status` "not_scored" and a
        reason; nobody chooses them.

    Raises:
        UsageError: No such scores, or scores of another pool: less than half of its rows are known.
        HFSelectError: The table isn't the one that was pushed.
    """
    import pyarrow.parquet as pq

    folder = Path(source) if Path(source).is_dir() else _fetch(source, revision, sleep)
    about = _choose(folder, source, name)
    table = pq.read_table(folder / about["name"] / TABLE_FILE)
    keys = table["row_key"].to_pylist()
    if keys_digest(keys) != about["pool_keys"] or len(keys) != about["rows"]:
        raise HFSelectError(
            f"the scores {about['name']} of {source} are not the ones that were pushed: pull them again."
        )
    return table if pool is None else _joined(table, keys, pool, view, source)


def keys_digest(keys: list[str]) -> str:
    """32 hex digits over row keys, whatever their order."""
    return hashlib.blake2b("\n".join(sorted(keys)).encode(), digest_size=16).hexdigest()


def pull_scores(
    repo_id: str, out: Path, *, revision: str | None = None, sleep: Callable[[float], None] = time.sleep
) -> list[dict[str, Any]]:
    """Copy all scores of a repository to a folder; return their entries."""
    import shutil

    folder = _fetch(repo_id, revision, sleep)
    entries = _entries(folder)
    if not entries:
        raise UsageError(f"{repo_id} holds no scores of hf_select.")
    for entry in entries.values():
        for file in (ABOUT_FILE, TABLE_FILE):
            with replacing(out / entry["name"] / file) as part:
                shutil.copyfile(folder / entry["name"] / file, part)
    return list(entries.values())


def _joined(table: pa.Table, keys: list[str], pool: Dataset, view: PoolView | None, source: str) -> pa.Table:
    import pyarrow as pa

    from hf_select.pool.view import PoolView
    from hf_select.sampling.keys import pool_keys, unique_keys

    place = {address: at for at, address in enumerate(unique_keys(keys))}
    wanted = pool_keys(pool, view or PoolView())
    at = [place.get(address) for address in unique_keys(wanted)]
    known = sum(position is not None for position in at)
    if known * 2 < len(at) or not known:
        raise UsageError(
            f"the scores of {source} are of another pool: they know {known} of its {len(at)} rows. Give the pool they "
            "were made on, read the same way."
        )
    joined = table.take(pa.array(at, pa.int64()))
    if known < len(at):
        new = pa.array([position is None for position in at])
        facts = {"row_key": wanted, "row_status": "not_scored", "row_reason": f"has no scores in {source}"}
        for name, value in facts.items():
            if name not in joined.column_names:
                continue
            values = pa.array(value) if isinstance(value, list) else pa.array([value] * len(at), pa.string())
            column = pa.compute.if_else(new, values, joined[name])
            joined = joined.set_column(joined.column_names.index(name), name, column)
    return joined


def _write(scores: Scores, place: Path) -> None:
    import pyarrow.parquet as pq

    place.mkdir(parents=True)
    pq.write_table(scores.table.replace_schema_metadata(None), place / TABLE_FILE)
    write_atomically(place / ABOUT_FILE, json.dumps(scores.about, indent=1, ensure_ascii=False))


def _card(scores: Scores, entries: Mapping[str, dict[str, Any]], repo_id: str) -> str:
    return render_card(
        "scores.md.jinja",
        metadata=card_metadata(
            {
                "tags": ["hf_select", "hf_select-scores"],
                "size_categories": [size_category(len(scores.table))],
                "source_datasets": sorted({e["pool"] for e in entries.values() if is_hub_id(e["pool"])}) or None,
                "configs": [{"config_name": name, "data_files": f"{name}/{TABLE_FILE}"} for name in sorted(entries)],
                "hf_select": {"scores": sorted(entries)},
            }
        ),
        repo_id=repo_id,
        entries=[entries[name] for name in sorted(entries)],
    )


def _known(found: Found, repo_id: str, sleep: Callable[[float], None]) -> dict[str, dict[str, Any]]:
    if not any(name.endswith(f"/{ABOUT_FILE}") for name in found.files):
        return {}
    return _entries(_fetch(repo_id, found.head, sleep, patterns=[f"*/{ABOUT_FILE}"]))


def _fetch(
    repo_id: str, revision: str | None, sleep: Callable[[float], None], patterns: list[str] | None = None
) -> Path:
    from huggingface_hub import snapshot_download

    wanted = patterns or [f"*/{ABOUT_FILE}", f"*/{TABLE_FILE}"]

    def get() -> str:
        return snapshot_download(repo_id, repo_type="dataset", revision=revision, allow_patterns=wanted)

    return Path(retrying(get, repo_id, sleep=sleep))


def _entries(folder: Path) -> dict[str, dict[str, Any]]:
    found = {}
    for file in sorted(folder.glob(f"*/{ABOUT_FILE}")):
        try:
            entry = json.loads(file.read_text("utf-8"))
            complete = {"name", "rows", "pool", "pool_keys", "columns"} <= entry.keys()
        except (ValueError, AttributeError) as error:
            raise HFSelectError(f"{file.name} of {file.parent.name} can't be read: {error}.") from error
        if complete and entry["name"] == file.parent.name:
            found[entry["name"]] = entry
    return found


def _choose(folder: Path, source: str, name: str | None) -> dict[str, Any]:
    entries = _entries(folder)
    if not entries:
        raise UsageError(f"{source} holds no scores of hf_select.")
    if name is None and len(entries) > 1:
        raise UsageError(f"{source} holds the scores {', '.join(entries)}: say which with name (--name).")
    if name is not None and name not in entries:
        raise UsageError(f"{source} holds no scores called {name!r}; it has {', '.join(entries)}.")
    return entries[name] if name is not None else next(iter(entries.values()))
