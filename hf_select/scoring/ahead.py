"""Doing the next pieces of work in threads while the one at hand is used."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T, R = TypeVar("T"), TypeVar("R")


def ahead(pool: ThreadPoolExecutor, work: Callable[[T], R], todo: Iterable[T], steps: int) -> Iterator[R]:
    """Yield `work` of each in order, done by the pool at most `steps` ahead of who consumes it."""
    source, waiting = iter(todo), deque[Future[R]]()
    while True:
        waiting.extend(pool.submit(work, one) for one in itertools.islice(source, steps - len(waiting)))
        if not waiting:
            return
        yield waiting.popleft().result()
