"""`score`: a pool and scorers in, the pool with the scorers' columns out; in shards, resumable, no image copied."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hf_select.errors import UsageError
from hf_select.pool.view import PoolView
from hf_select.scoring.attach import attach, side_by_side
from hf_select.scoring.progress import rows_bar
from hf_select.scoring.row_facts import RowFacts
from hf_select.scoring.scorer import Scorer
from hf_select.scoring.shards import Shard, content_digest, place_digest, plan, score_shards
from hf_select.scoring.stats import ScorerStats, ScoreStats
from hf_select.scoring.store import ScoreStore, default_scores_dir, schema_of
from hf_select.scoring.stream import score_stream

if TYPE_CHECKING:
    from datasets import Dataset, IterableDataset

__all__ = ["ScoreStats", "score", "score_columns"]

_LOOK_AGAIN = {"image_missing", "image_unreadable"}


def score(
    pool: Dataset | IterableDataset,
    *scorers: Scorer,
    view: PoolView | None = None,
    shards: int | None = None,
    cache_dir: str | Path | None = None,
    num_proc: int | None = None,
    batch_size: int = 128,
    progress: bool | None = None,
    stats: ScoreStats | None = None,
) -> Dataset:
    """Add the columns of `RowFacts` and of each scorer to a pool.

    Gives the numbers of `pool.map(scorer, batched=True)`, but writes the new columns only, into a folder of its own,
    one small file a shard: a call that was killed goes on where it stopped and loses at most the shard it was at (with
    `num_proc`, one a process); a second call computes nothing and imports no torch. Whatever runs differently but
    gives the same numbers (device, micro-batch, `batch_size`, `num_proc`, a README commit) finds the same files.

    Every row comes out. A row that can't be read or scored has nulls for numbers, and a status and reason.

    Args:
        pool: A dataset, also one made by `select` or `filter`, or of `from_list`. A stream gives the columns alone.
        scorers: The scorers; their columns must be new to the pool.
        view: How rows are read, for every scorer; by default as each scorer says, and as the first one for `RowFacts`.
        shards: Into how many shards the pool is cut; by default one for 128 rows, at most 64. Other numbers find
            other files.
        cache_dir: Where scores are kept; by default `hf_select/scores` in the cache folder of datasets. The layout is
            in `hf_select.scoring.store`. With `datasets.disable_caching()` nothing is kept or found.
        num_proc: Processes to share shards among, for work on the CPU; for GPUs leave it alone.
        batch_size: Rows handed to a scorer at once.
        progress: False hides the bars; otherwise datasets' own switch decides.
        stats: Filled with what was computed and found, and rows by status.

    Returns:
        The pool's columns, row for row, with the new ones; images are those of the pool's own files.

    Raises:
        UsageError: A column exists already, the schema isn't recognised, or `pool` is no single dataset.
        HFSelectError: A shard has too few rows; it is named.

    A picture changed under its old path is noticed in pools that `read_pool` read from local JSON. For other datasets
    that hold paths (Parquet, `save_to_disk`, your own), give a fresh `cache_dir` or call `datasets.disable_caching()`
    after changing pictures; files that were missing or empty are looked at again each time.
    """
    from datasets import Dataset

    columns = score_columns(
        pool,
        *scorers,
        view=view,
        shards=shards,
        cache_dir=cache_dir,
        num_proc=num_proc,
        batch_size=batch_size,
        progress=progress,
        stats=stats,
    )
    if not isinstance(pool, Dataset):
        return columns
    return attach(pool, columns.select_columns([c for c in columns.column_names if c not in pool.column_names]))


def score_columns(
    pool: Dataset | IterableDataset,
    *scorers: Scorer,
    view: PoolView | None = None,
    shards: int | None = None,
    cache_dir: str | Path | None = None,
    num_proc: int | None = None,
    batch_size: int = 128,
    progress: bool | None = None,
    stats: ScoreStats | None = None,
) -> Dataset:
    """Score a pool as `score` does, and return the columns of `RowFacts` and the scorers without the pool's own.

    Arguments and errors are those of `score`. The rows are in the pool's order.
    """
    import datasets

    if view is not None:
        scorers = tuple(dataclasses.replace(scorer, view=view) for scorer in scorers)
    facts = RowFacts(view=view or next((scorer.view for scorer in scorers), PoolView()))
    stats = ScoreStats() if stats is None else stats
    root = None if not datasets.is_caching_enabled() else Path(cache_dir or default_scores_dir()).expanduser()
    if isinstance(pool, datasets.IterableDataset):
        _check_names(scorers, facts, ())
        return score_stream(pool, facts, scorers, root=root, batch_size=batch_size, progress=progress, stats=stats)
    if not isinstance(pool, datasets.Dataset):
        raise UsageError(f"score takes one Dataset or IterableDataset, not a {type(pool).__name__}: give one split.")
    known = _check_names(scorers, facts, pool.column_names)
    job = _Job(pool, plan(len(pool), shards), root, num_proc, batch_size, progress)
    stats.rows = len(pool)

    by_place = [place_digest(pool._fingerprint, shard) for shard in job.plan]
    if known:
        parts = [_in_memory(pool, facts)]
        by_content = by_place
    else:
        parts = [job.run(facts, by_place, stats)]
        table = parts[0].with_format("arrow")
        by_content = [content_digest(table[shard.start : shard.stop]) for shard in job.plan]
    for scorer in scorers:
        parts.append(job.run(scorer, by_content if scorer.view == facts.view else by_place, stats))
    return side_by_side(parts)


@dataclass(frozen=True)
class _Job:
    pool: Dataset
    plan: list[Shard]
    root: Path | None
    num_proc: int | None
    batch_size: int
    progress: bool | None

    def run(self, scorer: Scorer, digests: Iterable[str], stats: ScoreStats) -> Dataset:
        """Return one scorer's columns for the whole pool, computing the shards that aren't there."""
        from datasets import Dataset, concatenate_datasets

        started = time.monotonic()
        store = ScoreStore(scorer, self.root)
        wanted = dict(zip(self.plan, digests, strict=True))
        done: dict[Shard, Dataset] = {}
        for shard, digest in wanted.items():
            found = store.read(digest, shard.rows, shard.label)
            if found is not None and not _depends_on_missing_files(found):
                done[shard] = found
        missing = [shard for shard in self.plan if shard not in done]
        part = ScorerStats(store.name, computed=len(missing), reused=len(done))
        part.computed_rows = sum(shard.rows for shard in missing)
        options = {"batch_size": self.batch_size, "num_proc": self.num_proc}
        with rows_bar(
            store.name, total=len(self.pool), found=len(self.pool) - part.computed_rows, show=self.progress
        ) as moved:
            for shard, table in score_shards(self.pool, scorer, missing, moved=moved, **options):
                done[shard] = store.write(wanted[shard], table, shard.rows, shard.label)
        columns = (
            concatenate_datasets([done[shard] for shard in self.plan])
            if self.plan
            else Dataset(schema_of(scorer).empty_table(), fingerprint=store.key)
        )
        part.seconds = time.monotonic() - started
        stats.add(part, columns)
        return columns


def _check_names(scorers: Iterable[Scorer], facts: RowFacts, columns: Iterable[str]) -> bool:
    """Refuse columns that exist; return whether the pool brings the facts."""
    taken = set(columns)
    brought = taken & set(facts.adds)
    if brought and len(brought) < len(facts.adds):
        raise UsageError(
            f"the pool has the columns {', '.join(sorted(brought))} but not the rest of what hf_select writes with"
            f" them ({', '.join(facts.adds)}): remove or rename them."
        )
    taken |= set(facts.adds)
    for scorer in scorers:
        twice = sorted(taken & set(scorer.adds))
        if twice:
            raise UsageError(
                f"{type(scorer).__name__} adds {', '.join(twice)}, which is there already: remove the old column, or"
                " give the scorer another prefix."
            )
        taken |= set(scorer.adds)
    return bool(brought)


def _depends_on_missing_files(columns: Dataset) -> bool:
    return "row_status" in columns.column_names and not _LOOK_AGAIN.isdisjoint(columns["row_status"])


def _in_memory(pool: Dataset, facts: RowFacts) -> Dataset:
    from datasets import Dataset

    table = pool.select_columns(list(facts.adds)).with_format("arrow")[:]
    return Dataset(table, fingerprint=place_digest(pool._fingerprint, Shard(0, len(pool), "")))
