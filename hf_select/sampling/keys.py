"""Row addresses: content keys made unique where a pool holds exact copies, and the keys of a pool's rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hf_select.errors import UsageError

if TYPE_CHECKING:
    from datasets import Dataset

    from hf_select.pool.view import PoolView

ROW_KEY = "row_key"
_BATCH = 256


def unique_keys(keys: Sequence[str]) -> list[str]:
    """Address every row: the first of equal keys keeps it, the n-th copy (n >= 2) becomes `"key+n"`.

    Copies are numbered in the order given. They are equal in pictures and messages, so which copy is called "+2"
    matters only for what isn't content (a row's own id, its task).

    Raises:
        UsageError: A row without a key, or a key that looks like the address of a copy.
    """
    distinct = set(keys)
    if None in distinct:
        raise UsageError(f"row {keys.index(None)} has no {ROW_KEY}; every row needs one (hs.score adds the column)")
    if len(distinct) == len(keys):
        return list(keys)
    seen: dict[str, int] = {}
    unique = []
    for key in keys:
        n = seen.get(key, 0) + 1
        seen[key] = n
        unique.append(key if n == 1 else f"{key}+{n}")
    if len(set(unique)) < len(unique):
        raise UsageError(f"the {ROW_KEY} column mixes keys and addresses of copies such as 'key+2'; give content keys")
    return unique


def content_key(address: str) -> str:
    """The content key of an address: `"key"` for `"key"` and for `"key+2"`."""
    key, plus, number = address.rpartition("+")
    return key if plus and number.isdecimal() else address


def pool_keys(pool: Dataset, view: PoolView) -> list[str]:
    """The content key of every row, in the pool's order.

    Read from the column `row_key` where the pool has it; else computed in one pass over the undecoded pictures
    (reads every picture's bytes once, decodes none, keeps nothing in memory).
    """
    if ROW_KEY in pool.column_names:
        return pool.select_columns([ROW_KEY]).with_format("arrow")[:].column(ROW_KEY).to_pylist()
    keys: list[str] = []
    arrow = pool.with_format("arrow")
    for start in range(0, len(pool), _BATCH):
        keys.extend(row.key for row in view.rows(arrow[start : start + _BATCH]))
    return keys
