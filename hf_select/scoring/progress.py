"""One bar over all rows of a scorer, with rows a second and time left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def rows_bar(
    name: str, *, total: int | None, found: int = 0, show: bool | None = None
) -> Iterator[Callable[[int], None]]:
    """Show a bar on stderr and give the function that moves it on by so many rows.

    Args:
        name: The scorer.
        total: Rows of the pool, or None where nobody knows (a stream).
        found: Rows whose scores were found in the cache: done, but not part of the speed.
        show: False for no bar; otherwise datasets' own switch decides (`datasets.disable_progress_bars()`).
    """
    if show is False or total == found:
        yield lambda rows: None
        return
    from datasets.utils import tqdm

    with tqdm(desc=name, total=total, initial=found, unit=" rows") as bar:
        yield lambda rows: bar.update(rows) and None
