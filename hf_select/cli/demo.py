"""`hf-select demo`: the whole method on a drawn pool, against a random subset of the same size, on this machine."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING

from hf_select.cli.command import Command, option
from hf_select.errors import UsageError

if TYPE_CHECKING:
    from hf_select.cli.output import Output
    from hf_select.demo.run import DemoResult


@dataclass(frozen=True, kw_only=True)
class DemoOptions:
    """Flags of `hf-select demo`."""

    out: Path | None = option(None, help="keep pool, models and subsets in this folder; default a temporary one")
    seeds: int = option(1, help="repeat with so many seeds and show 95 % intervals (Student's t over seeds)")
    rows: int = option(1600, help="rows of the drawn pool")
    held_out: int = option(40, help="held-out questions a task")
    budget: str = option("15%", help='what each subset may keep: "15%" or a number of rows')
    epochs: float = option(8.0, help="passes over the rows in every fit")


def run(options: DemoOptions, out: Output) -> int:
    """Run the demo; return the exit code."""
    if options.seeds < 1:
        raise UsageError(f"--seeds {options.seeds}: give at least 1.")
    if options.out is not None:
        return _run(options, options.out, out)
    with tempfile.TemporaryDirectory(prefix="hf-select-demo-") as folder:
        return _run(options, Path(folder), out)


def _run(options: DemoOptions, folder: Path, out: Output) -> int:
    from hf_select.demo.report import as_dict, render
    from hf_select.demo.run import DemoConfig, calm, run_demo

    config = DemoConfig(rows=options.rows, held_out=options.held_out, budget=options.budget, epochs=options.epochs)
    if out.dry_run:
        out.result(
            human=f"{config.rows:,} rows would be drawn and {options.seeds} seed(s) run; nothing was written",
            data={"rows": config.rows, "seeds": options.seeds, "budget": config.budget},
        )
        return 0
    calm()
    result = run_demo(folder, config, seeds=options.seeds, note=out.note)
    kept = f"\n\neverything is in {folder}; `hf-select status {folder}/seed-0` shows the run" if options.out else ""
    out.result(human=render(result) + kept, data=as_dict(result), quiet=_quiet(result))
    return 0


def _quiet(result: DemoResult) -> str:
    from hf_select.demo.report import METHODS, gains

    return "\n".join(f"{method} {mean(gains(result, method)):.2f}" for method in METHODS)


COMMAND = Command(
    "demo",
    "See both methods at work on a drawn pool: no network, no GPU, a few minutes.",
    DemoOptions,
    run,
    writes=True,
    examples=(
        "hf-select demo",
        "hf-select demo --out runs/demo --seeds 5",
        "hf-select run mllm_selector --pool runs/demo/pool/pool.jsonl --model ./my-vlm --budget 15% --out runs/mine",
    ),
)
