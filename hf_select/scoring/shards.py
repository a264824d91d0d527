"""Shards of a pool: where they begin, what stands for their rows, and scoring them here or in other processes."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from hf_select.errors import HFSelectError, UsageError
from hf_select.processes import end_with_parent
from hf_select.scoring.scorer import Scorer

if TYPE_CHECKING:
    from datasets import Dataset

MAX_SHARDS = 64
MIN_ROWS = 128
SAYS_WHICH_ROW = ("row_key", "row_task", "row_status", "row_reason")


class Shard(NamedTuple):
    """Rows [start, stop) of a pool, and the shard's name in messages."""

    start: int
    stop: int
    label: str

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return self.stop - self.start


def plan(rows: int, shards: int | None = None) -> list[Shard]:
    """Cut a pool into contiguous shards whose sizes differ by at most one.

    The cut depends on the number of rows only, never on processes or batch sizes, so that any later run finds them.

    Args:
        rows: Rows of the pool.
        shards: How many; by default one for 128 rows, at most 64. A crash costs one shard.
    """
    if shards is not None and shards < 1:
        raise UsageError(f"shards is {shards}: it must be at least 1.")
    count = min(rows, shards) if shards is not None else min(MAX_SHARDS, math.ceil(rows / MIN_ROWS))
    edges = [rows * i // count for i in range(count + 1)] if count else [0]
    return [Shard(a, b, f"shard {i} of {count}") for i, (a, b) in enumerate(zip(edges, edges[1:], strict=False), 1)]


def place_digest(fingerprint: str, shard: Shard) -> str:
    """Return what stands for a shard by its place: these rows of the dataset with this fingerprint."""
    return text_digest(["place", fingerprint, shard.start, shard.stop])


def content_digest(facts: pa.Table) -> str:
    """Return what stands for a shard by its content: keys, tasks and statuses of its rows, in order.

    So scores outlive a new fingerprint of the same rows: a commit that touches only the README, a moved file.
    """
    return text_digest(["content", *(facts[name].to_pylist() for name in SAYS_WHICH_ROW)])


def text_digest(value: object) -> str:
    """Return 32 hex digits of a JSON value."""
    return hashlib.blake2b(json.dumps(value).encode(), digest_size=16).hexdigest()


def score_shard(pool: Dataset, scorer: Scorer, shard: Shard, batch_size: int, moved: Callable[[int], None]) -> pa.Table:
    """Score the rows of one shard; images are read undecoded from the Arrow table and never copied.

    Args:
        pool: The pool.
        scorer: The scorer.
        shard: Which rows.
        batch_size: Rows handed to the scorer at once.
        moved: Called with the number of rows after each batch.
    """
    part = pool.select(range(shard.start, shard.stop)).with_format("arrow")
    tables = []
    for batch in part.iter(batch_size):
        tables.append(pa.table(scorer(batch)))
        moved(batch.num_rows)
    return pa.concat_tables(tables)


def score_shards(
    pool: Dataset,
    scorer: Scorer,
    shards: Sequence[Shard],
    *,
    batch_size: int,
    num_proc: int | None,
    moved: Callable[[int], None],
) -> Iterator[tuple[Shard, pa.Table]]:
    """Yield (shard, columns) as they are done: in order in this process, in any order with `num_proc`.

    Processes live for the whole call, so each loads its model once. A process that dies ends the call with an error;
    what was yielded before is kept.
    """
    if num_proc is None or num_proc < 2 or len(shards) < 2:
        for shard in shards:
            yield shard, score_shard(pool, scorer, shard, batch_size, moved)
        return
    with ProcessPoolExecutor(
        min(num_proc, len(shards)), initializer=_start, initargs=(pool, scorer, batch_size)
    ) as workers:
        waiting: dict[Future[pa.Table], Shard] = {workers.submit(_work, shard): shard for shard in shards}
        try:
            while waiting:
                for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                    shard = waiting.pop(future)
                    table = future.result()
                    moved(shard.rows)
                    yield shard, table
        except BrokenProcessPool as error:
            raise HFSelectError(
                f"a process that ran {type(scorer).__name__} died, perhaps for lack of memory: run the same call again,"
                " finished shards are kept; use fewer processes or a smaller batch_size."
            ) from error
        finally:
            workers.shutdown(wait=False, cancel_futures=True)


_STARTED: list[tuple[Dataset, Scorer, int]] = []


def _start(pool: Dataset, scorer: Scorer, batch_size: int) -> None:
    end_with_parent()
    _STARTED[:] = [(pool, scorer, batch_size)]


def _work(shard: Shard) -> pa.Table:
    pool, scorer, batch_size = _STARTED[0]
    try:
        return score_shard(pool, scorer, shard, batch_size, lambda rows: None)
    except HFSelectError as error:
        # Some of our errors take more than their sentence to build, so they can't travel between processes.
        kind = UsageError if isinstance(error, UsageError) else HFSelectError
        raise kind(str(error)) from None
