"""Publishing a selection: looked at before, one commit, read back after."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from hf_select.errors import HFSelectError, UnknownName, UsageError
from hf_select.files import write_atomically
from hf_select.hub.card import subset_card
from hf_select.hub.commit import Published, commit_folder
from hf_select.hub.content import Content
from hf_select.hub.folder import addressed, build, is_data, is_ours, refuse_private, temporary_folder
from hf_select.hub.load import fetch, selection_in
from hf_select.hub.merge import merge_card
from hf_select.hub.preflight import Found, Target, check_card, preflight
from hf_select.pool.embed import SHARD_BYTES

Mode = Literal["full", "keys"]
MODES = ("full", "keys")


def publish(
    content: Content | str | Path,
    repo_id: str,
    *,
    mode: Mode = "full",
    private: bool = True,
    revision: str | None = None,
    create_pr: bool = False,
    overwrite: bool = False,
    shard_bytes: int = SHARD_BYTES,
    note: Callable[[str], None] = lambda text: None,
    sleep: Callable[[float], None] = time.sleep,
) -> Published:
    """Publish a selection to the Hub in exactly one commit, and read it back.

    Token, namespace, repository and card are looked at before any work; nothing half-published is ever visible on the
    branch, and the same call after a failure sends only what isn't there yet. A card that is there keeps its own words.

    Args:
        content: What to publish; a path is the folder of an `hf-select run`.
        repo_id: "namespace/name" of the dataset repository; made where it is missing.
        mode: "full" for the rows with their pictures; "keys" for which rows, their scores and the recipe alone, to be
            joined with the pool by `load_selected` (kilobytes in place of gigabytes; the pool must be on the Hub).
        private: Visibility of a repository that is made now.
        revision: Branch to commit to.
        create_pr: Open a pull request instead.
        overwrite: Replace data that another tool wrote: every file there that `load_dataset` may read goes.
        shard_bytes: About how large Parquet files get.
        note: Called with one sentence of progress at a time.
        sleep: Waits for so many seconds between tries.

    Raises:
        UsageError: An empty selection, or arguments that don't go together.
        HFSelectError: The Hub refuses or doesn't answer for long, or the disk is too small.

    Cost: the subset once more on the disk of TMPDIR while it is sent; memory for one shard.
    """
    content = _checked(content, mode)
    target = Target(repo_id, private=private, revision=revision, create_pr=create_pr, overwrite=overwrite)
    found = preflight(target, sleep=sleep)
    check_card(_card(content, found.card, target, mode), target, sleep=sleep)
    with temporary_folder() as folder:
        plots = build(content, folder, mode=mode, shard_bytes=shard_bytes)
        done = commit_folder(
            folder,
            target,
            found,
            card=lambda there: _card(content, there, target, mode, plots),
            message=f"{len(content.selection):,} rows chosen from {content.about['pool']}",
            owned=_replaced(found),
            note=note,
            sleep=sleep,
        )
    there = f"refs/pr/{done.pull_request.rsplit('/', 1)[1]}" if done.pull_request else done.commit
    back = selection_in(fetch(repo_id, revision=there, sleep=sleep), repo_id)
    if back.keys != content.selection.keys:
        raise HFSelectError(f"{repo_id} holds another selection than was sent: run the same command again.")
    return done


def dry_run(
    content: Content | str | Path,
    repo_id: str,
    folder: Path,
    *,
    mode: Mode = "full",
    revision: str | None = None,
    create_pr: bool = False,
    overwrite: bool = False,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, int]:
    """Do all that `publish` does but change the Hub, and leave the folder that it would send.

    Returns:
        Bytes of each file.

    Raises:
        HFSelectError: As `publish`.
    """
    content = _checked(content, mode)
    target = Target(repo_id, revision=revision, create_pr=create_pr, overwrite=overwrite)
    found = preflight(target, sleep=sleep)
    check_card(_card(content, found.card, target, mode), target, sleep=sleep)
    plots = build(content, folder, mode=mode)
    write_atomically(folder / "README.md", _card(content, found.card, target, mode, plots))
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): file.stat().st_size for file in files}


def _checked(content: Content | str | Path, mode: str) -> Content:
    content = content if isinstance(content, Content) else Content.of_run(content)
    if mode not in MODES:
        raise UnknownName("mode", mode, MODES)
    if len(content.selection) == 0:
        raise UsageError("the selection is empty: 0 rows are not published; choose a larger budget.")
    if mode == "full" and content.rows is None:
        raise UsageError("the rows are needed to publish them in full: give them, or publish mode 'keys'.")
    return content


def _card(content: Content, there: str | None, target: Target, mode: str, plots: tuple[str, ...] | None = ()) -> str:
    ours = subset_card(addressed(content, mode), content.about, repo_id=target.repo_id, mode=mode, plots=plots)
    refuse_private(ours, "the card")
    return merge_card(there, ours)


def _replaced(found: Found) -> Callable[[str], bool]:
    """Tells which files of a repository go: ours, or all data of another tool."""
    return is_ours if found.is_ours else is_data
