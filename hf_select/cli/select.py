"""`hf-select select`: choose rows of a scored pool; no model is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hf_select.cli.command import Command, option
from hf_select.errors import UsageError

if TYPE_CHECKING:
    from hf_select.cli.output import Output
    from hf_select.sampling.sampler import Sampler

SAMPLERS = ("grouped", "top", "middle", "bottom", "uniform")


@dataclass(frozen=True, kw_only=True)
class SelectOptions:
    """Flags of `hf-select select`."""

    scores: Path = option(help="folder of `hf-select score` or `run`, or a Parquet file of scores", positional=True)
    out: Path = option(help="folder for the selection")
    budget: str = option("15%", help='what may be kept: "15%", a number of rows, or "2M tokens"')
    sampler: str = option("grouped", choices=SAMPLERS, help="how rows are chosen")
    score: str = option("loss", help="loss, loss_sum, perplexity, ifd, visual, or a column of numbers")
    group: str | None = option(None, help="column of the groups (row_task); bins of the score by default")
    without: Path | None = option(None, help="leave out the rows that `hf-select overlap --exclude` found")
    seed: int = option(0, help="decides the draws")


def run(options: SelectOptions, out: Output) -> int:
    """Choose and save; return the exit code."""
    import pyarrow.parquet as pq

    from hf_select.sampling.budget import Budget
    from hf_select.sampling.left_out import mark_left_out, read_left_out

    file = options.scores / "score.parquet" if options.scores.is_dir() else options.scores
    if not file.is_file():
        raise UsageError(f"{file} does not exist: give a folder that `hf-select score` or `hf-select run` wrote.")
    scored = pq.read_table(file)
    if options.without is not None:
        scored = mark_left_out(scored, read_left_out(options.without))
    selection = _sampler(options).select(scored, Budget(options.budget), seed=options.seed)
    if not out.dry_run:
        selection.save(options.out)
    written = "nothing was written" if out.dry_run else str(options.out)
    data = {
        "rows": len(selection),
        "out": str(options.out),
        "notes": list(selection.notes),
        "rejected": dict(selection.rejected),
    }
    out.result(human=f"{selection.summary()}\n\n{written}", data=data, quiet=str(options.out))
    return 0


def _sampler(options: SelectOptions) -> Sampler:
    from hf_select.sampling.grouped import GroupedSampler
    from hf_select.sampling.ranked import Bottom, Middle, Top
    from hf_select.sampling.uniform import Uniform

    if options.sampler == "uniform":
        return Uniform(stratify=options.group)
    if options.sampler == "grouped":
        groups = "score_bins" if options.group is None else f"column:{options.group}"
        return GroupedSampler(score=options.score, groups=groups)
    return {"top": Top, "middle": Middle, "bottom": Bottom}[options.sampler](score=options.score, group=options.group)


COMMAND = Command(
    "select",
    "Choose rows of a scored pool within a budget.",
    SelectOptions,
    run,
    writes=True,
    examples=(
        "hf-select select runs/a --budget 15% --out runs/a/grouped",
        "hf-select select runs/a --sampler uniform --group row_task --budget 1500 --out runs/a/random",
        "hf-select select runs/a --budget 15% --without runs/overlap --out runs/a/clean",
    ),
)
