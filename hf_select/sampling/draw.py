"""Seeded draws that depend on row keys alone: the same rows whatever the order, the sharding or the process."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import xxhash


def random_order(addresses: Sequence[str], *, seed: int, stage: str) -> np.ndarray:
    """A uniformly random order of the rows, as positions.

    Each row gets a 64-bit number from (seed, stage, address); the order is by (number, address). So the draw of a row
    doesn't depend on which other rows there are, and the first k rows are a uniform sample without replacement.

    Args:
        addresses: Unique row addresses in ascending order.
        seed: Any whole number.
        stage: What the draw is for; draws of different stages are independent.
    """
    stage_seed = int.from_bytes(hashlib.blake2b(f"{seed}\0{stage}".encode(), digest_size=8).digest(), "little")
    hasher = xxhash.xxh3_64_intdigest
    hashes = (hasher(address.encode(), stage_seed) for address in addresses)
    numbers = np.fromiter(hashes, dtype=np.uint64, count=len(addresses))
    return np.argsort(numbers, kind="stable")
