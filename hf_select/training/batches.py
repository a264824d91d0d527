"""The order of rows: seeded optimizer steps of similar rows, cut into forward passes; the same after every resume."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

STEPS_SORTED_TOGETHER = 8
"""Rows are shuffled, and then sorted by length inside stretches of this many steps (LLaVA's `group_by_length`)."""


class StepBatches:
    """A batch sampler whose optimizer steps don't depend on how a step is cut into forward passes.

    An epoch is a shuffle of all rows, cut into stretches of 8 steps; inside a stretch rows are sorted by length and
    dealt to its steps in that order, and the epoch's full steps are shuffled. Inside a step, rows with images come
    first, each kind from long to short, so a forward pass pads little and mostly holds one kind. The last step of
    an epoch may be smaller. Everything is a function of (lengths, seed, epoch).

    Args:
        lengths: Tokens of every row.
        with_image: Whether a row has images, for every row.
        batch_size: Rows of a forward pass.
        accumulation: Forward passes of a step.
        seed: Seed of the shuffles.
    """

    def __init__(
        self, lengths: Sequence[int], with_image: Sequence[bool], batch_size: int, accumulation: int, seed: int
    ) -> None:
        self._lengths = np.asarray(lengths)
        self._with_image = np.asarray(with_image)
        self.batch_size = batch_size
        self._rows_per_step = batch_size * accumulation
        self._seed = seed
        self._epoch = 0
        self.drop_last = False

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order `iter` gives; the Trainer calls it before every epoch."""
        self._epoch = epoch

    def __len__(self) -> int:
        """Forward passes of an epoch."""
        full, rest = divmod(len(self._lengths), self._rows_per_step)
        return full * (self._rows_per_step // self.batch_size) + -(-rest // self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        """Yield the rows of every forward pass of the chosen epoch."""
        for step in self.steps(self._epoch):
            for start in range(0, len(step), self.batch_size):
                yield step[start : start + self.batch_size].tolist()

    def steps(self, epoch: int) -> list[np.ndarray]:
        """Return the rows (int64 positions) of every optimizer step of `epoch`."""
        rng = np.random.default_rng((self._seed, epoch))
        order = rng.permutation(len(self._lengths))
        size = self._rows_per_step
        full = len(order) // size * size
        stretch = STEPS_SORTED_TOGETHER * size
        steps = []
        for start in range(0, full, stretch):
            rows = order[start : min(start + stretch, full)]
            rows = rows[np.argsort(-self._lengths[rows], kind="stable")]
            steps += [rows[first : first + size] for first in range(0, len(rows), size)]
        steps = [steps[i] for i in rng.permutation(len(steps))]
        if full < len(order):
            steps.append(order[full:])
        return [self._inside(step) for step in steps]

    def _inside(self, rows: np.ndarray) -> np.ndarray:
        return rows[np.lexsort((-self._lengths[rows], ~self._with_image[rows]))]
