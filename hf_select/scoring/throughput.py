"""How fast a scorer is on this machine, against what the machine could do, and what a whole pool would take."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from hf_select.errors import HFSelectError, UsageError
from hf_select.pool.row import OK
from hf_select.text import table

if TYPE_CHECKING:
    import torch
    from datasets import Dataset

    from hf_select.pool.row import Row
    from hf_select.scoring.answer_loss import AnswerLoss

_PEAK_SECONDS = 0.5
_SIDE = 2048


@dataclass(frozen=True, kw_only=True)
class Throughput:
    """What was measured on a sample of a pool, and what follows for all of it.

    Attributes:
        rows: Rows of the sample that were scored.
        refused: Rows of the sample that have a status instead of a score.
        seconds: Median seconds for the sample, pictures opened and processed in it.
        flop: Floating-point operations of the sample's forward passes, counted by torch.
        peak: Floating-point operations a second of a large matrix product in the same precision on the same device.
        pool_rows: Rows of the pool.
        device: Where the model ran.
        dtype: What it computed in.
    """

    rows: int
    refused: int
    seconds: float
    flop: float
    peak: float
    pool_rows: int
    device: str
    dtype: str

    @property
    def rows_per_second(self) -> float:
        """Rows a second."""
        return self.rows / self.seconds

    @property
    def utilisation(self) -> float:
        """Model FLOPs utilisation: the share of `peak` that the whole path from files to losses reaches."""
        return self.flop / self.seconds / self.peak

    @property
    def pool_seconds(self) -> float:
        """Seconds for the whole pool at this rate."""
        return self.pool_rows / self.rows_per_second

    @property
    def gpu_hours(self) -> float | None:
        """Hours of one GPU for the whole pool; None where the model ran on something else."""
        return self.pool_seconds / 3600 if self.device.startswith("cuda") else None

    def as_dict(self) -> dict[str, Any]:
        """Plain values, the derived ones too."""
        names = ("rows_per_second", "utilisation", "pool_seconds", "gpu_hours")
        return asdict(self) | {name: getattr(self, name) for name in names}

    def render(self) -> str:
        """A text table for people."""
        rows = [
            ["rows a second", f"{self.rows_per_second:.2f}"],
            ["operations a row", f"{self.flop / self.rows / 1e9:.1f} GFLOP"],
            ["reached", f"{self.flop / self.seconds / 1e9:.1f} GFLOP/s"],
            ["matrix product", f"{self.peak / 1e9:.1f} GFLOP/s"],
            ["utilisation", f"{self.utilisation:.0%}"],
            [f"all {self.pool_rows:,} rows", _duration(self.pool_seconds)],
        ]
        if self.gpu_hours is not None:
            rows.append(["GPU-hours", f"{self.gpu_hours:.2f}"])
        words = f"{self.rows} rows on {self.device} in {self.dtype}; {self.refused} of the sample could not be scored"
        return f"{table(['measured', 'value'], rows)}\n\n{words}"


def throughput(pool: Dataset, scorer: AnswerLoss, *, rows: int = 64, runs: int = 3, seed: int = 0) -> Throughput:
    """Score a random sample of a pool several times and compare with the device's matrix product.

    The first pass warms up and counts operations; each timed run starts from the rows' files again.

    Args:
        pool: Any pool that the scorer's view reads.
        scorer: With its model, contexts, dtype and device.
        rows: Rows of the sample.
        runs: Timed runs, of which the median counts.
        seed: Decides the sample.

    Raises:
        UsageError: An empty pool, or a number below 1.
        HFSelectError: No row of the sample can be scored.

    Cost: `runs` + 1 times scoring the sample.
    """
    import numpy as np
    from torch.utils.flop_counter import FlopCounterMode

    if min(rows, runs) < 1:
        raise UsageError(f"rows={rows}, runs={runs}: give whole numbers of at least 1.")
    if len(pool) == 0:
        raise UsageError("the pool is empty: there is nothing to measure on.")
    at = np.sort(np.random.default_rng(seed).permutation(len(pool))[:rows])
    sample = pool.select(at.tolist())

    def read() -> Sequence[Row]:
        return scorer.view.rows(sample.with_format("arrow")[:])

    status = f"{scorer.prefix}loss_status"
    with FlopCounterMode(display=False) as counter:
        statuses = scorer.score(read())[status]
    scored = statuses.count(OK)
    if scored == 0:
        raise HFSelectError(f"none of the {len(statuses)} rows of the sample can be scored: look with hf-select check.")
    model = scorer.loaded.model
    return Throughput(
        rows=scored,
        refused=len(statuses) - scored,
        seconds=statistics.median(_timed(lambda: scorer.score(read()), model.device) for _ in range(runs)),
        flop=float(counter.get_total_flops()),
        peak=_peak(model.device, model.dtype),
        pool_rows=len(pool),
        device=str(model.device),
        dtype=str(model.dtype).removeprefix("torch."),
    )


def _timed(work: Callable[[], Any], device: torch.device) -> float:
    started = time.perf_counter()
    work()
    _finish(device)
    return time.perf_counter() - started


def _peak(device: torch.device, dtype: torch.dtype) -> float:
    """Floating-point operations a second of a square matrix product, the best of several for half a second."""
    import torch

    a, b = (torch.ones(_SIDE, _SIDE, device=device, dtype=dtype) for _ in range(2))
    best, spent = float("inf"), 0.0
    while spent < _PEAK_SECONDS:
        seconds = _timed(lambda: a @ b, device)
        best, spent = min(best, seconds), spent + seconds
    return 2 * _SIDE**3 / best


def _finish(device: torch.device) -> None:
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"
