"""One forward for many items, and for fewer when memory runs out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import numpy as np

from hf_select.embedding.vectors import Refused

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Batches(Generic[T]):
    """Runs a forward on batches of at most `most` items; after running out of memory, of half as many from then on.

    Args:
        forward: Items of one shape in, (items, d) float32 out.
        most: Most items of a forward.
    """

    def __init__(self, forward: Callable[[Sequence[T]], np.ndarray], most: int) -> None:
        self.forward = forward
        self.most = most

    def run(self, items: Sequence[T]) -> list[np.ndarray | Refused]:
        """Return one vector an item, in order; an item that alone is too large for memory is refused."""
        import torch

        done: list[np.ndarray | Refused] = []
        while len(done) < len(items):
            now = items[len(done) : len(done) + self.most]
            try:
                done.extend(self.forward(now))
                continue
            except torch.OutOfMemoryError as error:
                trouble = str(error).splitlines()[0]
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            if len(now) == 1:
                done.append(Refused("out_of_memory", f"this one alone doesn't fit in memory: {trouble}"))
            else:
                self.most = (len(now) + 1) // 2
                logger.warning("out of memory with %d in a forward: at most %d from here on", len(now), self.most)
        return done
