"""The columns every embedder adds: a vector, a status and a reason."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from hf_select.embedding.vectors import Refused
from hf_select.errors import UnknownName
from hf_select.pool.row import OK
from hf_select.scoring.columns import vector_type

Storage = Literal["float32", "float16"]
_STORAGES = ("float32", "float16")


def vector_columns(name: str, storage: str, dim: int) -> dict[str, str]:
    """Return the columns called after `name`, with their types.

    Raises:
        UnknownName: If `storage` isn't "float32" or "float16".
    """
    if storage not in _STORAGES:
        raise UnknownName("storage", storage, _STORAGES)
    return {name: vector_type(storage, dim), f"{name}_status": "string", f"{name}_reason": "string"}


def vector_results(name: str, storage: str, results: Sequence[np.ndarray | Refused]) -> dict[str, list]:
    """Return the values of these columns: null where there is no vector, or none that `storage` can hold."""
    stored = [result if isinstance(result, Refused) else _stored(result, storage) for result in results]
    refused = [one if isinstance(one, Refused) else Refused(OK, "") for one in stored]
    return {
        name: [None if isinstance(one, Refused) else one for one in stored],
        f"{name}_status": [one.status for one in refused],
        f"{name}_reason": [one.reason for one in refused],
    }


def _stored(vector: np.ndarray, storage: str) -> np.ndarray | Refused:
    with np.errstate(over="ignore"):
        stored = vector.astype(storage)
    if np.isfinite(stored).all():
        return stored
    return Refused("non_finite", f"the vector has numbers that {storage} can't hold: store it as float32")
