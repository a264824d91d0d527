"""Puts columns of scores beside a pool's columns without touching its rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from datasets import Dataset


def attach(pool: Dataset, columns: Dataset) -> Dataset:
    """Return `pool` with more columns; image bytes stay where they are, also for a pool that is a selection.

    datasets copies every row of a selected dataset before it joins columns. So the columns are spread over the rows of
    the table below the selection (null where it doesn't reach), joined there, and the selection is made again.

    Args:
        pool: The pool, with any format; the result has the same format with all columns visible.
        columns: As many rows as the pool, in its order.

    Cost: nothing on disk but an index of the selection; memory for the spread columns (tens of bytes a row).
    """
    style = pool.format
    plain = pool.with_format(None)
    scored = side_by_side([plain, columns]) if plain._indices is None else _attach_to_selection(plain, columns)
    if style["type"] is not None:
        scored = scored.with_format(style["type"], **style["format_kwargs"])
    return scored


def side_by_side(datasets: Sequence[Dataset]) -> Dataset:
    """Return the columns of equally long datasets as one; all of them also where there are no rows.

    Args:
        datasets: None of them a selection; the first gives the split.
    """
    from datasets import Dataset, Features, concatenate_datasets

    first = datasets[0]
    if len(first):
        return concatenate_datasets(list(datasets), axis=1, split=first.split)
    features = Features({name: feature for part in datasets for name, feature in part.features.items()})
    return Dataset.from_dict({name: [] for name in features}, features=features, split=first.split)


def _attach_to_selection(pool: Dataset, columns: Dataset) -> Dataset:
    from datasets import Dataset

    below = Dataset(pool._data, info=pool.info.copy(), split=pool.split, fingerprint=f"{pool._fingerprint}-below")
    indices = pool._indices.column(0).to_numpy()
    where = np.full(len(below), -1, dtype=np.int64)
    where[indices] = np.arange(len(indices))
    spread = columns.with_format("arrow")[:].take(pa.array(where, mask=where < 0))
    full = Dataset(spread, fingerprint=f"{columns._fingerprint}-spread")
    return side_by_side([below, full]).select(indices)
