"""`hf-select overlap`: rows of a pool whose pictures or questions are those of a benchmark."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hf_select.cli.command import Command, option
from hf_select.cli.pool_options import POOL_HELP, PoolOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hf_select.cli.output import Output
    from hf_select.evaluation.documents import Document


@dataclass(frozen=True, kw_only=True)
class OverlapOptions(PoolOptions):
    """Flags of `hf-select overlap`."""

    pool: list[str] = option(help=POOL_HELP, positional=True)
    suite: str = option(help="a suite of `hf-select ls suites`, or a YAML file of one")
    out: Path = option(help="folder for the pairs and the pool's hashes; the same command on it resumes")
    tasks: list[str] = option([], help="only these tasks of the suite")
    data_root: Path | None = option(None, help="folder with local copies of the data sets; default the Hub")
    exclude: bool = option(False, help="also write the selection of the rows that do not overlap")
    num_proc: int | None = option(None, help="processes that share the pool")


def run(options: OverlapOptions, out: Output) -> int:
    """Compare; return the exit code."""
    from hf_select.evaluation.overlap import overlap

    source = options.source(options.pool)
    documents = _documents(options)
    report = overlap(
        source.read(), documents, view=source.view, cache_dir=options.out / "shards", num_proc=options.num_proc
    )
    if not out.dry_run:
        report.save(options.out, exclude=options.exclude)
    kept = f"{options.out}: pairs.parquet, overlap.json"
    if options.exclude:
        kept += f"; the {len(report.kept()):,} other rows as a selection"
    human = f"{report.render()}\n\n{'nothing was written' if out.dry_run else kept}"
    out.result(human=human, data=report.as_dict(), quiet=str(report.left_out().num_rows))
    return 0


def _documents(options: OverlapOptions) -> Iterator[Document]:
    """The documents of every benchmark of the suite; what is missing is told before the pool is looked at."""
    from hf_select.errors import UsageError
    from hf_select.evaluation.data import check_access, documents
    from hf_select.evaluation.documents import documents_of
    from hf_select.evaluation.suite import Benchmark, load_suite

    suite = load_suite(options.suite)
    suite = suite.only(options.tasks) if options.tasks else suite
    benchmarks = [task for task in suite.tasks if isinstance(task, Benchmark)]
    if not benchmarks:
        raise UsageError(f"the suite {suite.name} has no benchmark to compare with: choose another.")
    for benchmark in benchmarks:
        check_access(benchmark, data_root=options.data_root)
    found = [documents(benchmark, data_root=options.data_root) for benchmark in benchmarks]
    return (document for one in found for document in documents_of(one.rows, one.benchmark.task, pictures=one.pictures))


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
