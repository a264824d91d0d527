"""Rows for a fine-tune: read through the view, encoded exactly as scoring does, put into forward passes."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_select.errors import HFSelectError
from hf_select.files import write_atomically
from hf_select.pool.row import OK

if TYPE_CHECKING:
    from datasets import Dataset

    from hf_select.pool.row import Row
    from hf_select.pool.view import PoolView
    from hf_select.scoring.encode import ChatEncoder

logger = logging.getLogger(__name__)

ROWS_AT_ONCE = 64


class PoolRows:
    """A map-style dataset of `Row`s over the pool's Arrow table: pictures stay undecoded references.

    Args:
        pool: The pool.
        view: How its rows are read.
        positions: Which rows of the pool, in this dataset's order.
    """

    def __init__(self, pool: Dataset, view: PoolView, positions: Sequence[int]) -> None:
        self._table = pool.with_format("arrow")
        self._view = view
        self._positions = positions

    def __len__(self) -> int:
        return len(self._positions)

    def __getitem__(self, index: int) -> Row:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Row]:
        """Read several rows in one access; the DataLoader uses it for a whole pass."""
        return self._view.rows(self._table[[self._positions[i] for i in indices]])


class Passes:
    """Collates the rows of a forward pass.

    A pass that mixes rows with and without pictures becomes two parts whose losses are added, because most models
    read their pictures per batch and not per row. `StepBatches` makes mixed passes rare.

    Args:
        encoder: The encoder that scoring uses, with the same window.
    """

    def __init__(self, encoder: ChatEncoder) -> None:
        self._encoder = encoder

    def __call__(self, rows: Sequence[Row]) -> dict[str, Any]:
        """Return {"parts": inputs of one or two forwards with labels, "tokens": supervised tokens of all rows}.

        Raises:
            HFSelectError: A row that could be encoded when the fine-tune started can't be any more.
        """
        from hf_select.scoring.encode import RowProblem

        try:
            encoded = [self._encoder.encode(row) for row in rows]
        except RowProblem as problem:
            raise HFSelectError(
                f"a row that was fine when training began can't be read now ({problem.reason}): restore it and start"
                " again to go on from the last checkpoint."
            ) from problem
        kinds = ([one for one in encoded if one.n_images], [one for one in encoded if not one.n_images])
        return {
            "parts": [self._encoder.collate(kind) for kind in kinds if kind],
            "tokens": sum(one.n_supervised for one in encoded),
        }


@dataclass
class Usable:
    """Which rows of a pool can be trained on.

    Attributes:
        positions: Their positions in the pool.
        lengths: Tokens of each, image tokens included.
        with_image: Whether each has pictures.
        skipped: Count of the other rows by status.
        reasons: The first reason met for each status; may quote the data.
    """

    positions: list[int] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    with_image: list[bool] = field(default_factory=list)
    skipped: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    def save(self, file: Path) -> None:
        """Write it as JSON; a file of that name is complete."""
        write_atomically(file, json.dumps(asdict(self)))

    @classmethod
    def load(cls, file: Path) -> Usable:
        """Read what `save` wrote."""
        return cls(**json.loads(file.read_text("utf-8")))


@dataclass(frozen=True)
class _Lengths:
    """Collates rows to (tokens or None, has pictures, status, reason); runs in the DataLoader's workers."""

    encoder: ChatEncoder

    def __call__(self, rows: Sequence[Row]) -> list[tuple[int | None, bool, str, str]]:
        return [self._look_at(row) for row in rows]

    def _look_at(self, row: Row) -> tuple[int | None, bool, str, str]:
        from hf_select.scoring.encode import RowProblem

        if row.status != OK:
            return None, False, row.status, row.reason
        try:
            encoded = self.encoder.encode(row)
        except RowProblem as problem:
            return None, False, problem.status, problem.reason
        return encoded.labels.shape[1], encoded.n_images > 0, OK, ""


def usable_rows(pool: Dataset, view: PoolView, encoder: ChatEncoder, workers: int = 0) -> Usable:
    """Encode every row once and say which can be trained on, with lengths for batching.

    Costs one reading of every picture; it is what keeps batches exact and the skipped rows known before the first step.
    """
    from torch.utils.data import DataLoader

    loader: Iterable[Any] = DataLoader(
        PoolRows(pool, view, range(len(pool))),
        batch_size=ROWS_AT_ONCE,
        collate_fn=_Lengths(encoder),
        num_workers=workers,
    )
    found = Usable()
    skipped: Counter[str] = Counter()
    position = 0
    for batch in loader:
        for length, with_image, status, reason in batch:
            if length is None:
                skipped[status] += 1
                found.reasons.setdefault(status, reason)
            else:
                found.positions.append(position)
                found.lengths.append(length)
                found.with_image.append(with_image)
            position += 1
    found.skipped = dict(sorted(skipped.items()))
    for status, count in found.skipped.items():
        logger.warning("%d of %d rows skipped (%s), such as: %s", count, len(pool), status, found.reasons[status])
    if not found.positions:
        why = ", ".join(f"{count} {status}" for status, count in found.skipped.items()) or "the pool is empty"
        raise HFSelectError(f"no row can be trained on ({why}): see hf-select check for the rows and reasons.")
    return found
