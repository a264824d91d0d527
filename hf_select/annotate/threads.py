"""Many requests under way, with a limit, an end, and nothing that was paid for thrown away."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

from hf_select.errors import HFSelectError

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_threads(
    work: Callable[[Item], Result], items: Iterable[Item], limit: int, stop: threading.Event
) -> Iterator[tuple[Item, Result]]:
    """Do `work` on `items`, at most `limit` at a time; hand each result over as soon as it is there, in any order.

    Items are drawn one by one, when there is room. After the first `HFSelectError`, an interrupt, or once `stop` is set
    none is drawn any more; those under way are waited for and handed over, and then the error is raised. A second
    interrupt doesn't wait.

    Args:
        work: Called in a thread; looks at `stop` before it waits for long.
        items: What to work on.
        limit: Most items under way.
        stop: Set here too, whenever this ends.
    """
    queue = iter(items)
    under_way: dict[Future[Result], Item] = {}
    end: BaseException | None = None
    with ThreadPoolExecutor(limit) as threads:
        try:
            while True:
                while not stop.is_set() and len(under_way) < limit:
                    item = next(queue, None)
                    if item is None:
                        break
                    under_way[threads.submit(work, item)] = item
                if not under_way:
                    break
                try:
                    ready = wait(under_way, return_when=FIRST_COMPLETED).done
                except KeyboardInterrupt as interrupt:
                    if isinstance(end, KeyboardInterrupt):
                        raise
                    end = interrupt
                    stop.set()
                    continue
                for future in ready:
                    item = under_way.pop(future)
                    error = future.exception()
                    if isinstance(error, HFSelectError):
                        end = end or error
                        stop.set()
                    else:
                        yield item, future.result()
        finally:
            stop.set()
    if end is not None:
        raise end
