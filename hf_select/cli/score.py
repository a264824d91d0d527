"""`hf-select score`: the answer's loss of every row of a pool under one model, as a table of columns."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hf_select.cli.command import Command, option
from hf_select.cli.pool_options import POOL_HELP, PoolOptions
from hf_select.text import table

if TYPE_CHECKING:
    from hf_select.cli.output import Output


@dataclass(frozen=True, kw_only=True)
class ScoreOptions(PoolOptions):
    """Flags of `hf-select score`."""

    pool: list[str] = option(help=POOL_HELP, positional=True)
    model: str = option(help="Hub id or folder of the vision-language model that scores")
    out: Path = option(help="folder of the scores; the same command on it resumes")
    contexts: list[str] = option(
        ["full"], help="contexts to measure: full, no_question, no_image, joined_answers, inverse, inverse_no_answer"
    )
    revision: str | None = option(None, help="revision of the model")
    adapter: str | None = option(None, help="folder of a LoRA adapter for the model")
    max_length: int | None = option(None, help="window in tokens; longer rows get a status instead of a score")
    dtype: str = option("auto", help="precision: auto, float32 or bfloat16")
    device: str | None = option(None, help="where the model runs: cpu, cuda, cuda:1, mps; default the best there is")
    shards: int | None = option(None, help="into how many shards scoring is cut; a kill costs at most one a process")
    num_proc: int | None = option(None, help="processes that share scoring on a CPU")


def run(options: ScoreOptions, out: Output) -> int:
    """Score the pool; return the exit code."""
    from hf_select.recipes.pipeline import Pipeline
    from hf_select.recipes.stages import RunFolder
    from hf_select.scoring.answer_loss import AnswerLoss

    source = options.source(options.pool)
    if out.dry_run:
        rows = len(source.read())
        passes = rows * len(options.contexts)
        out.result(
            human=f"{source.name}: {rows:,} rows, {passes:,} forward passes of {options.model}; nothing was written",
            data={"pool": source.name, "rows": rows, "forward_passes": passes, "out": str(options.out)},
            quiet=str(options.out),
        )
        return 0
    scorer = AnswerLoss(
        model=options.model,
        revision=options.revision,
        adapter=options.adapter,
        contexts=tuple(options.contexts),
        max_length=options.max_length,
        dtype=options.dtype,
        view=source.view,
        device=options.device,
    )
    folder = RunFolder(options.out, out.note)
    with folder.claimed():
        scored = Pipeline(
            source, folder, device=options.device, shards=options.shards, num_proc=options.num_proc
        ).score("score", scorer)
    statuses: dict[str, int] = {}
    for status in scored["loss_status"].to_pylist():
        statuses[status] = statuses.get(status, 0) + 1
    file = options.out / "score.parquet"
    rows = [[status, count] for status, count in sorted(statuses.items(), key=lambda item: -item[1])]
    out.result(
        human=f"{table(['status', 'rows'], rows)}\n\n{file}",
        data={"rows": len(scored), "statuses": statuses, "file": str(file)},
        quiet=str(file),
    )
    return 0


COMMAND = Command(
    "score",
    "Score every row of a pool: the loss of its answer under a model, in one or more contexts.",
    ScoreOptions,
    run,
    writes=True,
    examples=(
        "hf-select score org/vit-pool --model me/seed-model --out runs/a",
        "hf-select score pool.jsonl --model ./seed --contexts full no_question --out runs/b",
    ),
)
