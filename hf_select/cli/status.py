"""`hf-select status`: where a run stands."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hf_select.cli.command import Command, option
from hf_select.text import table

if TYPE_CHECKING:
    from hf_select.cli.output import Output


@dataclass(frozen=True, kw_only=True)
class StatusOptions:
    """Flags of `hf-select status`."""

    run: Path = option(help="folder of the run", positional=True)


def run(options: StatusOptions, out: Output) -> int:
    """Print one line a stage; return the exit code."""
    from hf_select.errors import UsageError
    from hf_select.recipes.stages import RunFolder

    folder = RunFolder(options.run)
    records = folder.records()
    if not records:
        raise UsageError(f"{options.run} holds no run: give the --out folder of an `hf-select run`.")
    busy = folder.is_claimed()
    rows = []
    for record in records:
        state = "stopped" if record.state == "running" and not busy else record.state
        rows.append(
            [
                record.name,
                state,
                _seconds(record.seconds, record.started, state),
                record.message or _facts(record.summary),
            ]
        )
    data = [asdict(record) | {"state": row[1]} for record, row in zip(records, rows, strict=True)]
    quiet = "\n".join(f"{row[0]} {row[1]}" for row in rows)
    out.result(human=table(["stage", "state", "time", "facts"], rows), data=data, quiet=quiet)
    return 0


def _seconds(seconds: float, started: float, state: str) -> str:
    return f"{seconds:.1f} s" if state != "running" else f"{time.time() - started:.0f} s so far"


def _facts(summary: dict) -> str:
    return ", ".join(f"{name} {value}" for name, value in summary.items() if isinstance(value, int | float | str))


COMMAND = Command(
    "status",
    "Show where a run stands: its stages, their times and results.",
    StatusOptions,
    run,
    examples=("hf-select status runs/a", "hf-select status runs/a --format json"),
)
