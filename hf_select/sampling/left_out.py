"""Rows that must not be chosen, each with its reason: read from a folder, marked in the scored columns."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from hf_select.errors import UsageError
from hf_select.sampling.keys import ROW_KEY, unique_keys

LEFT_OUT_FILE = "left_out.parquet"


def read_left_out(folder: str | Path) -> dict[str, str]:
    """Read `left_out.parquet` of a folder (`hf-select overlap --exclude` writes one): row address -> reason.

    Raises:
        UsageError: The file is missing, or has no text columns `key` and `reason`.
    """
    file = Path(folder) / LEFT_OUT_FILE
    if not file.is_file():
        raise UsageError(f"{folder} has no {LEFT_OUT_FILE}: give a folder that `hf-select overlap --exclude` wrote.")
    try:
        table = pq.read_table(file, columns=["key", "reason"])
    except (pa.ArrowException, OSError) as error:
        raise UsageError(f"{file} isn't a table of rows to leave out: {' '.join(str(error).split())}") from error
    if table.schema.names != ["key", "reason"] or {*table.schema.types} != {pa.string()}:
        raise UsageError(f"{file} has no text columns key and reason: write it again with hf-select overlap --exclude.")
    return dict(zip(table["key"].to_pylist(), table["reason"].to_pylist(), strict=True))


def mark_left_out(scored: pa.Table, reasons: Mapping[str, str]) -> pa.Table:
    """Give the rows of `reasons` these as their `row_status` (and `row_reason`), so that no sampler takes them.

    Every sampler counts them by reason in the Selection's `rejected`. A row that can't be used keeps its own status.

    Args:
        scored: Columns `row_key`, `row_status` and any others, in the pool's order.
        reasons: Row address -> reason.

    Raises:
        UsageError: A row that isn't there: the pool has changed, or was read through another view.
    """
    addresses = unique_keys(scored[ROW_KEY].to_pylist())
    missing = reasons.keys() - set(addresses)
    if missing:
        raise UsageError(
            f"{len(missing)} of {len(reasons)} rows to leave out are not in this pool, such as {min(missing)!r}: find "
            "them in the same pool, read the same way (hf-select overlap --schema images for a recipe that looks at "
            "images alone)."
        )
    statuses = scored["row_status"].to_pylist()
    hit = [address in reasons and status == "ok" for address, status in zip(addresses, statuses, strict=True)]
    for name in {"row_status", "row_reason"} & set(scored.column_names):
        cells = scored[name].to_pylist()
        marked = [reasons[a] if on else cell for a, cell, on in zip(addresses, cells, hit, strict=True)]
        at = scored.column_names.index(name)
        scored = scored.set_column(at, scored.schema.field(name), pa.array(marked, scored.schema.field(name).type))
    return scored
