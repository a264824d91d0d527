"""Scoring a stream: shards of rows as they come, in the same files as for a dataset, resumed by the stream's state."""

from __future__ import annotations

import copy
import itertools
import json
import logging
import pickle
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from hf_select.errors import UsageError
from hf_select.files import write_atomically
from hf_select.scoring.attach import side_by_side
from hf_select.scoring.progress import rows_bar
from hf_select.scoring.row_facts import RowFacts
from hf_select.scoring.scorer import Scorer
from hf_select.scoring.shards import content_digest, text_digest
from hf_select.scoring.stats import ScorerStats, ScoreStats
from hf_select.scoring.store import ScoreStore

if TYPE_CHECKING:
    from datasets import Dataset, IterableDataset

logger = logging.getLogger(__name__)

SHARD_ROWS = 512


def score_stream(
    pool: IterableDataset,
    facts: RowFacts,
    scorers: Sequence[Scorer],
    *,
    root: Path | None,
    batch_size: int,
    progress: bool | None,
    stats: ScoreStats,
) -> Dataset:
    """Return the columns of the facts and the scorers for every row of a stream, in its order, without its own columns.

    The stream is read once, 512 rows at a time, images undecoded where its features are known. After each shard the
    stream's state is kept beside the scores; after a crash the next call with the same stream and scorers starts
    there. A stream that was finished is read from the start again, since nobody knows whether it still gives the same
    rows, but rows that were scored before are not scored again.

    Args:
        pool: The stream; its own position is left alone.
        facts: What makes the key, task and status of each row.
        scorers: The scorers, with the view of the facts.
        root: Where scores are kept, or None.
        batch_size: Rows handed to a scorer at once.
        progress: False hides the bar.
        stats: Filled with what was computed and found.

    Raises:
        UsageError: If a scorer reads rows by another view: a stream's rows are known by their content only.
    """
    from datasets import Dataset, concatenate_datasets

    if any(scorer.view != facts.view for scorer in scorers):
        raise UsageError("the scorers read the stream by different views: give score(..., view=...) for all of them.")
    stores = [ScoreStore(scorer, root) for scorer in (facts, *scorers)]
    parts = [ScorerStats(store.name) for store in stores]
    stream = pool.decode(False) if pool.features is not None else copy.copy(pool)
    bookmark = None if root is None else _bookmark(root, stream, stores)
    done, marks = _resume(bookmark, stream, stores, parts)
    found = sum(rows for _, rows in marks)
    with rows_bar("rows of the stream", total=None, found=found, show=progress) as moved:
        for batch in _batches(stream):
            digest, shard = _score(batch, stores, parts, batch_size, f"shard {len(done) + 1} of the stream")
            done.append(shard)
            marks.append((digest, len(shard[0])))
            _mark(bookmark, stream, marks)
            moved(len(shard[0]))
    if bookmark is not None:
        bookmark.unlink(missing_ok=True)
    columns = [
        concatenate_datasets([shard[i] for shard in done])
        if done
        else Dataset(store.schema.empty_table(), fingerprint=store.key)
        for i, store in enumerate(stores)
    ]
    stats.rows = len(columns[0])
    for part, column in zip(parts, columns, strict=True):
        stats.add(part, column)
    return side_by_side(columns)


def _batches(stream: IterableDataset) -> Iterator[dict[str, list[Any]]]:
    rows = iter(stream)
    while part := list(itertools.islice(rows, SHARD_ROWS)):
        names = dict.fromkeys(name for row in part for name in row)
        yield {name: [row.get(name) for row in part] for name in names}


def _score(
    batch: dict[str, list[Any]], stores: Sequence[ScoreStore], parts: Sequence[ScorerStats], batch_size: int, label: str
) -> tuple[str, list[Dataset]]:
    """Return what stands for a batch, and each scorer's columns of it, computed or found."""
    rows = len(next(iter(batch.values())))
    shard: list[Dataset] = []
    digest = ""
    for store, part in zip(stores, parts, strict=True):
        started = time.monotonic()
        table = None
        if not shard:
            table = pa.table(store.scorer(batch))
            digest = content_digest(table)
        columns = store.read(digest, rows, label)
        if columns is None:
            if table is None:
                pieces = [{k: v[at : at + batch_size] for k, v in batch.items()} for at in range(0, rows, batch_size)]
                table = pa.concat_tables([pa.table(store.scorer(piece)) for piece in pieces])
            columns = store.write(digest, table, rows, label)
            part.computed += 1
            part.computed_rows += rows
        else:
            part.reused += 1
        part.seconds += time.monotonic() - started
        shard.append(columns)
    return digest, shard


def _bookmark(root: Path, stream: IterableDataset, stores: Sequence[ScoreStore]) -> Path | None:
    """Return the file for the state of this stream under these scorers, or None if the stream can't be told by hash."""
    from datasets.fingerprint import Hasher

    try:
        examples = copy.deepcopy(stream._ex_iterable)
        examples._init_state_dict()
        told = Hasher.hash(examples)
    except (TypeError, AttributeError, NotImplementedError, pickle.PicklingError) as error:
        logger.info("this stream can't be resumed by its state, only by the content of its rows: %s", error)
        return None
    return root / "streams" / f"{text_digest([told, *(store.key for store in stores)])}.json"


def _mark(bookmark: Path | None, stream: IterableDataset, marks: list[tuple[str, int]]) -> None:
    if bookmark is None:
        return
    write_atomically(bookmark, json.dumps({"state": stream.state_dict(), "shards": marks}))


def _resume(
    bookmark: Path | None, stream: IterableDataset, stores: Sequence[ScoreStore], parts: Sequence[ScorerStats]
) -> tuple[list[list[Dataset]], list[tuple[str, int]]]:
    """Put the stream where a killed call stood and return that call's shards, or nothing if any of them is gone."""
    if bookmark is None or not bookmark.is_file():
        return [], []
    kept = json.loads(bookmark.read_text())
    marks = [(digest, rows) for digest, rows in kept["shards"]]
    done: list[list[Dataset]] = []
    for at, (digest, rows) in enumerate(marks, 1):
        shard = [store.read(digest, rows, f"shard {at} of the stream") for store in stores]
        if any(columns is None for columns in shard):
            return [], []
        done.append([columns for columns in shard if columns is not None])
    stream.load_state_dict(kept["state"])
    for part in parts:
        part.reused = len(done)
    return done, marks
