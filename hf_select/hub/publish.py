"""Publishing a selection: a folder with rows or keys, recipe, scores, plots and card; then one commit."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hf_select.errors import HFSelectError, MissingExtra, UnknownName, UsageError
from hf_select.files import write_atomically
from hf_select.hub.card import is_hub_id, subset_card
from hf_select.hub.commit import Found, Published, Target, check_card, commit_folder, preflight
from hf_select.hub.merge import merge_card

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset

    from hf_select.pool.view import PoolView
    from hf_select.sampling.selection import Selection

MODES = ("full", "keys")
SCORES_FILE = "scores.parquet"
_OWN_FOLDERS = ("data/", "plots/")
_OWN_FILES = ("selection.parquet", "recipe.yaml", SCORES_FILE)
_TEMPORARY = "hf-select-publish-"
_SPARE = 50_000_000


@dataclass(frozen=True, kw_only=True)
class Content:
    """What is published.

    Attributes:
        selection: Which rows.
        about: Values of the card, see `subset_card`.
        view: How the pool's rows are read.
        rows: The chosen rows in pick order, or a folder of Parquet files that hold them; not needed for keys.
        scored: The whole pool's columns that the sampler looked at, for others to choose again; None leaves them out.
    """

    selection: Selection
    about: Mapping[str, Any]
    view: PoolView
    rows: Dataset | Path | None = None
    scored: pa.Table | None = None


def publish(
    content: Content,
    repo_id: str,
    *,
    mode: Literal["full", "keys"] = "full",
    private: bool = True,
    revision: str | None = None,
    create_pr: bool = False,
    overwrite: bool = False,
    note: Callable[[str], None] = lambda text: None,
    sleep: Callable[[float], None] = time.sleep,
) -> Published:
    """Publish a selection to the Hub in exactly one commit, and read it back.

    Token, namespace and repository are looked at before any work; nothing half-published is ever visible on the branch,
    and the same call after a failure sends only what isn't there yet. A card that is there keeps its own words.

    Args:
        content: What to publish.
        repo_id: "namespace/name" of the dataset repository; made where it is missing.
        mode: "full" for the rows with their pictures; "keys" for which rows, their scores and the recipe alone, to be
            joined with the pool by `load_selected` (kilobytes in place of gigabytes; the pool must be on the Hub).
        private: Visibility of a repository that is made now.
        revision: Branch to commit to.
        create_pr: Open a pull request instead.
        overwrite: Replace data that another tool wrote.
        note: Called with one sentence of progress at a time.
        sleep: Waits for so many seconds between tries.

    Raises:
        UsageError: An empty selection, or arguments that don't go together.
        HFSelectError: The Hub refuses or doesn't answer for long, or the disk is too small.
    """
    if mode not in MODES:
        raise UnknownName("mode", mode, MODES)
    if len(content.selection) == 0:
        raise UsageError("the selection is empty: 0 rows are not published; choose a larger budget.")
    if mode == "full" and content.rows is None:
        raise UsageError("the rows are needed to publish them in full: give them, or publish mode 'keys'.")
    target = Target(repo_id, private=private, revision=revision, create_pr=create_pr, overwrite=overwrite)
    found = preflight(target, sleep=sleep)
    check_card(_card(content, found, mode=mode, repo_id=repo_id), target, sleep=sleep)
    with temporary_folder() as folder:
        build(content, folder, mode=mode, repo_id=repo_id, found=found)
        rows = f"{len(content.selection):,} rows chosen from {content.about['pool']}"
        return commit_folder(folder, target, found, message=rows, owned=is_ours, note=note, sleep=sleep)


def build(
    content: Content, folder: Path, *, mode: str = "full", repo_id: str | None = None, found: Found | None = None
) -> None:
    """Write what `publish` sends to `folder`: rows (in full), selection, recipe, scores, plots, card.

    Pictures have the bytes of their source files; no path, no user's name of this machine is in any file.
    """
    selection = _addressed(content, mode)
    folder.mkdir(parents=True, exist_ok=True)
    if mode == "full":
        _check_space(content.rows, folder)
        _write_rows(content.rows, folder / "data")
    selection.save(folder)
    if content.scored is not None:
        import pyarrow.parquet as pq

        pq.write_table(content.scored.replace_schema_metadata(None), folder / SCORES_FILE)
    plots = _plots(content, folder / "plots")
    write_atomically(folder / "README.md", _card(content, found, mode=mode, repo_id=repo_id, plots=plots))


def _card(content: Content, found: Found | None, *, mode: str, repo_id: str | None, plots: tuple[str, ...] = ()) -> str:
    ours = subset_card(_addressed(content, mode), content.about, repo_id=repo_id, mode=mode, plots=plots)
    return merge_card(found.card if found is not None else None, ours)


def is_ours(path: str) -> bool:
    """Whether a file of a repository is one that publishing writes, and may replace."""
    return path.startswith(_OWN_FOLDERS) or path in _OWN_FILES


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


def _addressed(content: Content, mode: str) -> Selection:
    """The selection with where its pool is: what `load_selected` and a replay read."""
    about = content.about
    on_hub = is_hub_id(about["pool"])
    if mode == "keys" and not on_hub:
        raise UsageError(
            f"the pool {about['pool']} is no dataset on the Hub, so nobody could join keys with it: publish mode "
            "'full', or choose from a pool on the Hub."
        )
    if mode == "keys" and about.get("generated"):
        raise UsageError("the instructions of these rows are in no pool: publish mode 'full'.")
    view = {name: getattr(content.view, name) for name in ("schema", "task_field", "image_root")}
    source = {"id": about["pool"], "on_hub": on_hub, "revision": about["pool_revision"], "view": view}
    if not on_hub:
        view["image_root"] = None
    source |= {name: about[name] for name in ("pool_split", "pool_config") if about.get(name)}
    known = {"pool": source, "method": dict(about["method"])} | {n: about[n] for n in ("scorers",) if n in about}
    return replace(content.selection, recipe={**content.selection.recipe, **known})


def _write_rows(rows: Dataset | Path, folder: Path) -> None:
    from hf_select.pool.embed import embedded_shards

    folder.mkdir(parents=True)
    if isinstance(rows, Path):
        for file in sorted(rows.glob("*.parquet")):
            shutil.copyfile(file, folder / file.name)
        return
    for number, shard in enumerate(embedded_shards(rows)):
        shard.to_parquet(folder / f"train-{number:05d}.parquet")


def _check_space(rows: Dataset | Path, folder: Path) -> None:
    if isinstance(rows, Path):
        needed = sum(file.stat().st_size for file in rows.glob("*.parquet"))
    else:
        needed = rows.with_format("arrow")[:].nbytes if rows._indices is None else 0
    free = shutil.disk_usage(folder).free
    if free < needed + _SPARE:
        raise HFSelectError(
            f"{needed / 1e9:.1f} GB are needed in {tempfile.gettempdir()} and {free / 1e9:.1f} GB are free: make room, "
            "or set TMPDIR to a larger disk."
        )


def _plots(content: Content, folder: Path) -> tuple[str, ...]:
    from hf_select.report.plots import score_histogram, task_shares

    drawn: dict[str, bytes] = {}
    try:
        drawn["tasks.png"] = task_shares(content.about["tasks"])
        scores = _scores(content)
        if scores is not None:
            drawn["scores.png"] = score_histogram(*scores)
    except MissingExtra:
        return ()
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
