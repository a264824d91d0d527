"""`hf-select check`: look at a pool before scoring it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hf_select.cli.command import Command, option
from hf_select.cli.pool_options import POOL_HELP, PoolOptions
from hf_select.errors import CheckFailed, UsageError

if TYPE_CHECKING:
    from hf_select.cli.output import Output


@dataclass(frozen=True, kw_only=True)
class CheckOptions(PoolOptions):
    """Flags of `hf-select check`."""

    pool: list[str] = option(help=POOL_HELP, positional=True)
    sample: int | None = option(None, help="decode only this many images, spread over the pool; default all")
    model: str | None = option(None, help="model whose tokenizer measures the rows' texts; needs --max-length")
    max_length: int | None = option(None, help="window in tokens: count rows whose texts alone are longer")
    strict: bool = option(False, help="exit with 3 if any row can't be used, repeats another, or has no task or answer")


def run(options: CheckOptions, out: Output) -> int:
    """Check the pool; return the exit code."""
    from hf_select.pool.check import check_pool

    if (options.model is None) != (options.max_length is None):
        raise UsageError("--model and --max-length belong together: give both or none.")
    source = options.source(options.pool)
    tokenizer = None
    if options.model is not None:
        from hf_select.errors import require

        tokenizer = require("transformers", "models").AutoTokenizer.from_pretrained(options.model)
    report = check_pool(
        source.read(), source.view, sample=options.sample, tokenizer=tokenizer, max_length=options.max_length
    )
    out.result(human=report.render(), data=report.as_dict(), quiet="\n".join(report.problems))
    if options.strict and report.problems:
        raise CheckFailed(f"{source.name} did not pass the check: {report.problems[0]}")
    return 0


COMMAND = Command(
    "check",
    "Look at a pool: rows per task, schema, images, duplicates, rows that can't be used.",
    CheckOptions,
    run,
    examples=(
        "hf-select check pool.jsonl --image-root images",
        "hf-select check org/vit-pool@main --sample 1000 --strict",
    ),
)
