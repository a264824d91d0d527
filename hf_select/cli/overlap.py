"""`hf-select overlap`: rows of a pool whose pictures or questions are those of a benchmark."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hf_select.cli.command import Command, option
from hf_select.cli.pool_options import POOL_HELP, PoolOptions
from hf_select.errors import CheckFailed, UsageError

if TYPE_CHECKING:
    from hf_select.cli.output import Output
    from hf_select.evaluation.data import Documents


@dataclass(frozen=True, kw_only=True)
class OverlapOptions(PoolOptions):
    """Flags of `hf-select overlap`."""

    pool: list[str] = option(help=POOL_HELP, positional=True)
    suite: str = option(help="a suite of `hf-select ls suites`, or a YAML file of one")
    out: Path = option(help="folder for the pairs and the pool's hashes; the same command on it resumes")
    tasks: list[str] = option([], help="only these tasks of the suite")
    data_root: Path | None = option(None, help="folder with local copies of the data sets; default the Hub")
    exclude: bool = option(False, help="also write what to leave out, and the other rows as a selection")
    strict: bool = option(False, help="exit with 3 if any row overlaps")
    num_proc: int | None = option(None, help="processes that share the pool")


def run(options: OverlapOptions, out: Output) -> int:
    """Compare; return the exit code."""
    from hf_select.evaluation.documents import documents_of
    from hf_select.evaluation.overlap import overlap
    from hf_select.sampling.left_out import LEFT_OUT_FILE

    source = options.source(options.pool)
    found = _benchmarks(options)
    pool = source.read()
    if out.dry_run:
        counts = {one.benchmark.task: len(one.rows) for one in found}
        human = f"{source.name}: {len(pool):,} rows, {sum(counts.values()):,} documents; nothing was written"
        out.result(human=human, data={"rows": len(pool), "documents": counts}, quiet=str(len(pool)))
        return 0
    documents = (doc for one in found for doc in documents_of(one.rows, one.benchmark.task, pictures=one.pictures))
    report = overlap(pool, documents, view=source.view, cache_dir=options.out / "shards", num_proc=options.num_proc)
    report.save(options.out, exclude=options.exclude)
    leaking = report.left_out().num_rows
    kept = f"{options.out}: pairs.parquet, overlap.json"
    if options.exclude:
        kept += f"; {LEFT_OUT_FILE}, and the {len(report.addresses) - leaking:,} other rows as a selection"
    out.result(human=f"{report.render()}\n\n{kept}", data=report.as_dict(), quiet=str(leaking))
    if options.strict and leaking:
        raise CheckFailed(f"{leaking} of {len(report.addresses)} rows of {source.name} overlap with {options.suite}.")
    return 0


def _benchmarks(options: OverlapOptions) -> list[Documents]:
    """The benchmarks of the suite with their documents; what is missing is told before the pool is looked at."""
    from hf_select.evaluation.data import check_access, documents
    from hf_select.evaluation.suite import Benchmark, load_suite

    suite = load_suite(options.suite)
    suite = suite.only(options.tasks) if options.tasks else suite
    benchmarks = [task for task in suite.tasks if isinstance(task, Benchmark)]
    if not benchmarks:
        raise UsageError(f"the suite {suite.name} has no benchmark to compare with: choose another.")
    for benchmark in benchmarks:
        check_access(benchmark, data_root=options.data_root)
    return [documents(benchmark, data_root=options.data_root) for benchmark in benchmarks]


COMMAND = Command(
    "overlap",
    "Find the rows of a pool whose pictures or questions are those of benchmarks.",
    OverlapOptions,
    run,
    writes=True,
    examples=(
        "hf-select overlap org/vit-pool --suite documents --out runs/overlap",
        "hf-select overlap pool.jsonl --suite general --data-root benchmarks --out runs/overlap --exclude",
    ),
)
