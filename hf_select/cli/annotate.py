"""`hf-select annotate`: instructions for the pictures of a selection."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hf_select.cli.annotator_options import AnnotatorOptions
from hf_select.cli.command import Command, option
from hf_select.cli.pool_options import POOL_HELP, PoolOptions
from hf_select.errors import UsageError
from hf_select.text import table

if TYPE_CHECKING:
    from datasets import Dataset

    from hf_select.annotate.annotate import Annotated
    from hf_select.annotate.annotator import Annotator
    from hf_select.cli.output import Output
    from hf_select.pool.view import PoolView
    from hf_select.sampling.selection import Selection


@dataclass(frozen=True, kw_only=True)
class AnnotateOptions(AnnotatorOptions, PoolOptions):
    """Flags of `hf-select annotate`."""

    pool: list[str] = option(help=POOL_HELP, positional=True)
    selection: Path | None = option(None, help="folder of the selection; default all rows")
    out: Path = option(help="gets the journal and the rows with their instructions; the same command resumes")
    device: str | None = option(None, help="where a local model runs; default the best there is")
    retry_failed: bool = option(False, help="ask again for what was refused or could not be read before")
    image_tokens: int = option(1000, help="tokens that --dry-run reckons a picture at")


def run(options: AnnotateOptions, out: Output) -> int:
    """Write instructions; return the exit code."""
    from hf_select.annotate.annotate import annotate
    from hf_select.recipes.stages import RunFolder
    from hf_select.sampling.selection import Selection

    source = options.source(options.pool)
    view = replace(source.view, schema="images")
    pool = replace(source, view=view).read()
    selection = _everything(pool, view) if options.selection is None else Selection.load(options.selection)
    annotator = options.made_annotator(source.view, options.device)
    prompts, rates = options.made_prompts(), options.rates()
    if out.dry_run:
        return _dry_run(options, pool, selection, view, annotator, out)
    if (options.out / "data").exists() and not (options.out / "run.lock").exists():
        raise UsageError(f"{options.out} holds a folder data that this command did not write: choose another --out.")
    with RunFolder(options.out).claimed():
        done = annotate(
            pool,
            selection,
            annotator,
            options.out,
            view=view,
            prompts=prompts,
            rates=rates,
            max_cost=options.max_cost,
            retry_failed=options.retry_failed,
            note=out.note,
        )
        _write(done, options.out / "data")
    rows = [[status, count] for status, count in done.statuses.items()]
    told = f"{done.asked:,} asked, {done.reused:,} of them answered before; cost {done.cost:.4f}"
    human = f"{table(['status', 'rows'], rows)}\n\n{told}\nrows: {options.out}"
    out.result(human=human, data=done.summary() | {"out": str(options.out)}, quiet=str(options.out))
    unanswered = done.statuses.get("unanswered", 0)
    if unanswered:
        out.problem(f"hf-select: {unanswered:,} rows got no answer; the same command asks for these again.")
    return 1 if unanswered else 0


def _dry_run(
    options: AnnotateOptions, pool: Dataset, selection: Selection, view: PoolView, annotator: Annotator, out: Output
) -> int:
    from hf_select.annotate.annotate import missing_rows
    from hf_select.annotate.cost import Estimate, estimate

    todo = missing_rows(
        pool,
        selection,
        annotator,
        options.out,
        view=view,
        prompts=options.made_prompts(),
        retry_failed=options.retry_failed,
    )
    guess = estimate(todo, options.rates(), options.image_tokens)
    if annotator.is_free:
        guess = Estimate(guess.images, 0, 0, 0.0)
    lines = [
        f"{len(todo):,} instructions for {guess.images:,} pictures by {options.annotator}",
        f"about {guess.tokens_in:,} tokens read and {guess.tokens_out:,} written, {guess.cost:.2f} at these prices",
        "nothing was asked and nothing written",
    ]
    data = {"requests": len(todo), "images": guess.images, "tokens_in": guess.tokens_in}
    data |= {"tokens_out": guess.tokens_out, "cost": guess.cost}
    out.result(human="\n".join(lines), data=data, quiet=f"{guess.cost:.2f}")
    return 0


def _everything(pool: Dataset, view: PoolView) -> Selection:
    from hf_select.sampling.budget import Budget
    from hf_select.sampling.uniform import Uniform
    from hf_select.scoring.run import score_columns

    return Uniform().select(score_columns(pool, view=view), Budget("100%"))


def _write(done: Annotated, folder: Path) -> None:
    """Write the rows with their pictures as a folder of Parquet files, at once."""
    import shutil

    from hf_select.pool.embed import embedded_shards

    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for number, shard in enumerate(embedded_shards(done.dataset)):
        shard.to_parquet(part / f"train-{number:05d}.parquet")
    shutil.rmtree(folder, ignore_errors=True)
    part.replace(folder)


COMMAND = Command(
    "annotate",
    "Have instructions written for the pictures of a selection.",
    AnnotateOptions,
    run,
    writes=True,
    examples=(
        "hf-select annotate images/ --selection runs/a/select --annotator endpoint --annotator-model org/vlm --out a",
        "hf-select annotate images/ --annotator endpoint --annotator-url http://localhost:8000/v1 --annotator-model vlm"
        " --out notes --price-in 0.5 --price-out 1.5 --max-cost 20",
    ),
)
