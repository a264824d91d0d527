"""Having a published selection again: its rows from the pool, or the choice itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_select.errors import HFSelectError, UsageError
from hf_select.hub.card import is_hub_id
from hf_select.hub.trouble import retrying

if TYPE_CHECKING:
    from datasets import Dataset

    from hf_select.pool.view import PoolView
    from hf_select.sampling.selection import Selection

PREFIX = "hf://datasets/"
_FILES = ("selection.parquet", "recipe.yaml")


def load_selected(
    repo_id: str, pool: Any = None, *, revision: str | None = None, sleep: Callable[[float], None] = time.sleep
) -> Dataset:
    """Return the rows of a published selection, joined from its pool at the pool's own revision.

    Every row is checked by its content (the key is a digest of pictures and messages): a pool that no longer has one of
    the chosen rows is refused.

    Args:
        repo_id: The repository, "me/vit-15".
        pool: The pool, where it is not to be read from the Hub: whatever `read_pool` reads.
        revision: Branch, tag or commit of the repository.
        sleep: Waits for so many seconds between tries.

    Raises:
        UsageError: The repository holds no selection, or the pool isn't on the Hub and none was given.
    """
    from hf_select.pool.read import read_pool

    folder = fetch(repo_id, revision=revision, sleep=sleep)
    selection = selection_in(folder, repo_id)
    source = source_of(selection, repo_id)
    view = view_of(source)
    if pool is None:
        if not source["on_hub"]:
            raise UsageError(f"the pool of {repo_id}, {source['id']}, is not on the Hub: give it as pool=...")
        pool = read_pool(
            source["id"],
            revision=source["revision"],
            split=source.get("pool_split"),
            config=source.get("pool_config"),
            schema=view.schema,
            task_field=view.task_field,
        )
    else:
        pool = read_pool(pool, schema=view.schema, task_field=view.task_field)
    return selection.apply(pool, view=view)


def fetch(repo_id: str, *, revision: str | None = None, sleep: Callable[[float], None] = time.sleep) -> Path:
    """Download what is small of a published selection (keys, recipe, scores, card) and return the folder."""
    from huggingface_hub import snapshot_download

    def get() -> str:
        patterns = ["selection.parquet", "recipe.yaml", "scores.parquet", "README.md"]
        return snapshot_download(repo_id, repo_type="dataset", revision=revision, allow_patterns=patterns)

    return Path(retrying(get, repo_id, sleep=sleep))


def load_any_selection(source: str) -> Selection:
    """Load a selection from a folder (of a selection, a subset or a run) or from "hf://datasets/me/name[@revision]".

    Raises:
        UsageError: There is none.
    """
    return selection_in(selection_folder(source), source)


def selection_folder(source: str) -> Path:
    """Return the folder with the files of a selection, fetched where `source` is on the Hub.

    Raises:
        UsageError: There is none.
    """
    if source.startswith(PREFIX):
        repo_id, _, revision = source.removeprefix(PREFIX).partition("@")
        return fetch(repo_id, revision=revision or None)
    folder = Path(source)
    for place in (folder, folder / "select", folder / "subset"):
        if all((place / name).is_file() for name in _FILES):
            return place
    raise UsageError(f"{source} holds no selection: give a folder of one, of a subset or a run, or {PREFIX}me/name.")


def selection_in(folder: Path, repo_id: str) -> Selection:
    """The selection of a fetched repository."""
    from hf_select.sampling.selection import Selection

    if not all((folder / name).is_file() for name in _FILES):
        raise UsageError(f"{repo_id} holds no selection of hf_select: it lacks {' or '.join(_FILES)}.")
    return Selection.load(folder)


def source_of(selection: Selection, repo_id: str) -> dict[str, Any]:
    """Where the pool of a published selection is."""
    source = selection.recipe.get("pool")
    if not isinstance(source, dict) or not {"id", "on_hub", "revision", "view"} <= source.keys():
        raise HFSelectError(f"the recipe of {repo_id} does not say where its pool is: it was not published by publish.")
    # A recipe is data: it must not make anybody read a file of their own as a pool.
    named = isinstance(source["id"], str) and (is_hub_id(source["id"]) or not source["on_hub"])
    if not named or not isinstance(source["revision"], str | None) or not isinstance(source["view"], dict):
        raise HFSelectError(f"the recipe of {repo_id} names no pool on the Hub: {source['id']!r}.")
    return source


def view_of(source: dict[str, Any]) -> PoolView:
    """How the pool's rows are read."""
    from hf_select.pool.view import PoolView

    view = source["view"]
    return PoolView(view.get("schema"), view.get("task_field"))
