"""`hf-select bench`: what scoring a pool with a model costs on this machine, before it is paid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hf_select.cli.command import Command, option
from hf_select.cli.pool_options import POOL_HELP, PoolOptions

if TYPE_CHECKING:
    from hf_select.cli.output import Output


@dataclass(frozen=True, kw_only=True)
class BenchOptions(PoolOptions):
    """Flags of `hf-select bench`."""

    pool: list[str] = option(help=POOL_HELP)
    model: str = option(help="Hub id or folder of the vision-language model that would score")
    contexts: list[str] = option(["full"], help="contexts that would be measured, as for `hf-select score`")
    revision: str | None = option(None, help="revision of the model")
    rows: int = option(64, help="rows of the sample")
    runs: int = option(3, help="timed runs; the median counts")
    dtype: str = option("auto", help="precision: auto, float32 or bfloat16")
    device: str | None = option(None, help="where the model runs: cpu, cuda, cuda:1, mps; default the best there is")
    seed: int = option(0, help="decides the sample")


def run(options: BenchOptions, out: Output) -> int:
    """Measure; return the exit code."""
    from hf_select.scoring.answer_loss import AnswerLoss
    from hf_select.scoring.throughput import throughput

    source = options.source(options.pool)
    scorer = AnswerLoss(
        model=options.model,
        revision=options.revision,
        contexts=tuple(options.contexts),
        dtype=options.dtype,
        device=options.device,
        view=source.view,
    )
    found = throughput(source.read(), scorer, rows=options.rows, runs=options.runs, seed=options.seed)
    out.result(human=found.render(), data=found.as_dict(), quiet=f"{found.rows_per_second:.3f}")
    return 0


COMMAND = Command(
    "bench",
    "Measure rows a second on a sample, and project the time for a whole pool.",
    BenchOptions,
    run,
    examples=("hf-select bench --pool org/vit-pool --model org/vlm-7b --contexts full no_question",),
)
