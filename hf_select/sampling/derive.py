"""Numbers derived from stored facts: loss sums and token counts per context become scores by column arithmetic."""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from hf_select.errors import UnknownName, UsageError

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.getLogger(__name__)

KINDS: dict[str, tuple[str, ...]] = {
    "loss": ("full",),
    "loss_sum": ("full",),
    "perplexity": ("full",),
    "ifd": ("full", "no_question"),
    "irs": ("full", "no_question"),
    "irs_joined": ("full", "joined_answers"),
    "visual": ("full", "no_image"),
    "vic": ("full", "no_image"),
    "ric": ("inverse", "inverse_no_answer"),
    "dic": ("full", "no_image", "inverse", "inverse_no_answer"),
}
"""The contexts each kind reads; `loss_{context}` (sum, nats) and `tokens_{context}` (count) are columns."""


def needs(kind: str, prefix: str = "") -> list[str]:
    """The columns that `derived(table, kind, prefix)` reads; its status column is read where the table has it."""
    if kind not in KINDS:
        raise UnknownName("derived score", kind, KINDS)
    return [f"{prefix}{fact}_{context}" for context in KINDS[kind] for fact in ("loss", "tokens")]


def split_name(name: str, columns: Collection[str]) -> tuple[str, str] | None:
    """`(prefix, kind)` where `name` is a scorer's prefix and a kind, and the columns for it are there; else None."""
    for kind in sorted(KINDS, key=len, reverse=True):
        if name.endswith(kind) and all(column in columns for column in needs(kind, name.removesuffix(kind))):
            return name.removesuffix(kind), kind
    return None


def derived(table: pa.Table | Dataset, kind: str, prefix: str = "") -> np.ndarray:
    """One score per row from stored loss sums and token counts.

    With L the mean negative log-likelihood of the answer per supervised token: "loss" is L(full), "loss_sum" its sum
    over tokens, "perplexity" exp L(full), "ifd" and "irs" L(full) / L(no_question) (arXiv 2308.12032; 2503.07591, a
    ratio of losses), "irs_joined" L(full) / L(joined_answers), "visual" L(no_image) - L(full). Of DICS: "vic"
    exp(L(no_image) - L(full)), "ric" exp(L(inverse_no_answer) - L(inverse)), with L of the question there, and "dic"
    min(vic, ric). A row without pictures has vic = 1, so its dic is at most 1 (the paper sets it to 1).

    Args:
        table: Columns `loss_{context}` and `tokens_{context}` as `AnswerLoss` writes them, each with `prefix`.
        kind: One of `KINDS`.
        prefix: The scorer's prefix.

    Returns:
        float64, one per row; NaN where the status isn't "ok", a fact is null, a count is 0, a ratio divides by 0, or
        `exp` leaves float64 (above 709 nats; the number of such rows is logged). Never infinite.

    Raises:
        UnknownName: A kind that isn't known.
        UsageError: A column that isn't there.
    """
    columns = needs(kind, prefix)
    status = f"{prefix}loss_status"
    present = status in table.column_names
    facts = _read(table, [*columns, status] if present else columns)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        means = [
            _finite(_float(facts[loss]) / _float(facts[tokens]))
            for loss, tokens in zip(columns[::2], columns[1::2], strict=True)
        ]
        if kind == "loss_sum":
            values = np.where(np.isnan(means[0]), np.nan, _float(facts[columns[0]]))
        elif kind == "loss":
            values = means[0]
        elif kind == "visual":
            values = means[1] - means[0]
        elif kind in ("ifd", "irs", "irs_joined"):
            values = means[0] / means[1]
        else:
            # The smaller exponent has the smaller power, and one of two that overflows costs nothing.
            gains = means if kind == "perplexity" else [b - a for a, b in zip(means[::2], means[1::2], strict=True)]
            values = _exp(np.minimum.reduce(gains), kind)
    values = _finite(values)
    if present:
        values[facts[status].to_numpy(zero_copy_only=False) != "ok"] = np.nan
    return values


def _finite(values: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(values), values, np.nan)


def _exp(values: np.ndarray, kind: str) -> np.ndarray:
    powers = np.exp(values)
    lost = int(np.isinf(powers).sum())
    if lost:
        logger.warning("the %s of %d rows is beyond float64; they have none", kind, lost)
    return powers


def _float(column: pa.ChunkedArray) -> np.ndarray:
    return column.cast(pa.float64()).to_numpy(zero_copy_only=False)


def _read(table: pa.Table | Dataset, columns: list[str]) -> dict[str, pa.ChunkedArray]:
    missing = [column for column in columns if column not in table.column_names]
    if missing:
        raise UsageError(
            f"no column {', '.join(map(repr, missing))} among {', '.join(table.column_names)}; "
            "hs.score(pool, hs.AnswerLoss(...)) with the contexts needed adds them"
        )
    if isinstance(table, pa.Table):
        return {column: table.column(column) for column in columns}
    arrow = table.select_columns(columns).with_format("arrow")[:]
    return {column: arrow.column(column) for column in columns}
