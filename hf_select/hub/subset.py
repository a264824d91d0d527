"""Writes a chosen subset as a folder that `load_dataset` reads: Parquet with pictures inside, selection and card."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_select.errors import UsageError
from hf_select.hub.card import subset_card
from hf_select.pool.embed import embedded_shards

if TYPE_CHECKING:
    from datasets import Dataset

    from hf_select.pool.view import PoolView
    from hf_select.sampling.selection import Selection

WRITTEN = {"data", "selection.parquet", "recipe.yaml", "README.md"}
"""Everything a subset folder holds."""


@dataclass(frozen=True)
class SubsetFolder:
    """What `write_subset` wrote: the folder, its rows, its Parquet files and their bytes."""

    path: Path
    rows: int
    files: tuple[str, ...]
    size: int


def write_subset(
    selection: Selection,
    pool: Dataset,
    out: str | Path,
    *,
    view: PoolView,
    about: dict[str, Any],
    split: str = "train",
    rows: Dataset | None = None,
) -> SubsetFolder:
    """Write the rows of `selection` from `pool` to the folder `out`.

    The rows come in pick order with all their columns and values unchanged. Pictures are embedded with the bytes of
    their source files, paths are reduced to base names, so nothing of this machine is written. The folder appears at
    once, when it is complete. Memory: one shard of about 200 MB.

    Args:
        selection: Which rows, in which order.
        pool: The pool the selection was made from.
        out: The folder; one that `write_subset` wrote before is replaced, any other non-empty folder is refused.
        view: How the pool's rows are read (needed to find rows by key).
        about: Values of the card, see `hf_select.hub.about.About`.
        split: Name of the written split.
        rows: What to write in place of the pool's rows, in pick order: rows with instructions they hadn't there.

    Raises:
        UsageError: The selection is empty, or `out` holds something else.
    """
    out = Path(out)
    if len(selection) == 0:
        raise UsageError("the selection is empty: a subset of 0 rows is not written; choose a larger budget.")
    _check_ours(out)
    subset = selection.apply(pool, view=view) if rows is None else rows
    part = out.with_name(out.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    (part / "data").mkdir(parents=True)
    names = []
    for number, shard in enumerate(embedded_shards(subset)):
        names.append(f"data/{split}-{number:05d}.parquet")
        shard.to_parquet(part / names[-1])
    selection.save(part)
    size = sum((part / name).stat().st_size for name in names)
    (part / "README.md").write_text(subset_card(selection, about, split=split), "utf-8")
    shutil.rmtree(out, ignore_errors=True)
    part.replace(out)
    return SubsetFolder(out, len(subset), tuple(names), size)


def _check_ours(out: Path) -> None:
    """Refuse a folder that can't be replaced without losing what `write_subset` didn't write."""
    found = {entry.name for entry in out.iterdir()} if out.is_dir() else {"a file"} if out.exists() else set()
    if found and (found - WRITTEN or "data" not in found):
        some = ", ".join(sorted(found - WRITTEN or found)[:3])
        raise UsageError(f"{out} is not a subset folder, or holds more than one ({some}): choose an empty or new one.")
