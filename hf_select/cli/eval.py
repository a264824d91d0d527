"""`hf-select eval`: a table of benchmarks that can be trusted, for one model or against others."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hf_select.cli.command import Command, option
from hf_select.errors import CheckFailed, MissingExtra, UsageError

if TYPE_CHECKING:
    from hf_select.cli.output import Output
    from hf_select.evaluation.compare import Comparison
    from hf_select.evaluation.report import EvalReport
    from hf_select.evaluation.run import Plan


@dataclass(frozen=True, kw_only=True)
class EvalOptions:
    """Flags of `hf-select eval`."""

    model: list[str] = option(help="Hub id or folder of the model; several are runs (seeds) of one", positional=True)
    suite: str | None = option(None, help="a suite of `hf-select ls suites`, or a YAML file of one")
    held_out: list[str] = option(
        [], help="in place of a suite: held-out rows of a pool, as `hf-select check` reads them"
    )
    metric: list[str] = option([], help="TASK=METRIC for held-out rows: contains, anls, relaxed_accuracy, rouge_l, ...")
    out: Path = option(help="folder of reports and answers; the same command on it resumes")
    baseline: list[str] = option([], help="the model to compare with, or its runs")
    full: str | None = option(None, help="a model tuned on all data, for Rel.")
    tasks: list[str] = option([], help="only these tasks of the suite")
    data_root: Path | None = option(None, help="folder with local copies of the data sets; default the Hub")
    limit: int | None = option(None, help="so many documents of each task")
    revision: str | None = option(None, help="revision of the models")
    dtype: str = option("auto", help="precision: auto, float32 or bfloat16")
    device: str | None = option(None, help="where models run: cpu, cuda, cuda:1, mps; default the best there is")
    batch_size: int = option(1, help="questions in one call of the model; 1 for published numbers")
    max_new_tokens: int = option(128, help="longest answer where a task names no limit")
    push_to: str | None = option(None, help="model repository that the results of the one model are written to")
    fail_under: list[str] = option(
        [], help="TASK=VALUE or SUITE/TASK=VALUE: exit with 3 where the model is below, on the task's own scale"
    )


def run(options: EvalOptions, out: Output) -> int:
    """Evaluate; 0, 1 where a task failed, 3 where a value is below its floor."""
    from hf_select.evaluation.compare import compare
    from hf_select.files import write_atomically

    floors = dict(map(_floor, options.fail_under))
    if options.push_to is not None and len(options.model) > 1:
        raise UsageError("--push-to writes one model's results: give one model.")
    planned = _planned(options)
    names = {job.task for job in planned.jobs}
    strange = sorted(set(floors) - names)
    if strange:
        raise UsageError(f"--fail-under names {strange[0]}, which is not among the tasks {', '.join(sorted(names))}.")
    mine = [_evaluated(options, planned, model, out) for model in options.model]
    others = [_evaluated(options, planned, model, out) for model in options.baseline]
    full = None if options.full is None else _evaluated(options, planned, options.full, out)
    lines = [f"{report.model}\n{report.render()}" for report in (mine if not others else [])]
    data: dict = {"reports": [report.as_dict() for report in [*mine, *others, *([full] if full else [])]]}
    if others:
        comparison = compare(mine, others, full=full)
        data["comparison"] = comparison.as_dict()
        write_atomically(options.out / "comparison.json", json.dumps(comparison.as_dict(), indent=1))
        write_atomically(options.out / "comparison.md", comparison.markdown() + "\n")
        _draw(comparison, options.out / "comparison.png")
        lines.append(comparison.render())
    failed = {f"{report.model}/{task}": why for report in [*mine, *others] for task, why in report.failed.items()}
    lines += [f"{name} failed: {why}" for name, why in failed.items()]
    quiet = "\n".join(f"{t.task} {t.value}" for t in mine[0].tasks)
    out.result(human="\n\n".join(lines), data=data, quiet=quiet)
    below = [
        f"{task} is {report[task].value:g}, below {floor:g}"
        for task, floor in floors.items()
        for report in mine
        if task not in report.failed and report[task].value < floor
    ]
    if failed:
        return 1
    if options.push_to is not None:
        from hf_select.evaluation.push import push_results

        out.note(f"results pushed: {push_results(mine[0], options.push_to, note=out.note).url}")
    if below:
        raise CheckFailed(f"{'; '.join(below)}.")
    return 0


def _planned(options: EvalOptions) -> Plan:
    from hf_select.evaluation.run import plan, plan_held_out

    if (options.suite is None) == (not options.held_out):
        raise UsageError("give either --suite or --held-out: which documents to ask.")
    tasks = options.tasks or None
    if options.suite is not None:
        return plan(options.suite, tasks=tasks, data_root=options.data_root, limit=options.limit)
    from hf_select.pool.read import read_pool

    source = options.held_out[0] if len(options.held_out) == 1 else options.held_out
    metrics = {task: name for task, _, name in (text.partition("=") for text in options.metric)}
    name = Path(options.held_out[0]).name
    return plan_held_out(read_pool(source), name=name, metrics=metrics, tasks=tasks, limit=options.limit)


def _evaluated(options: EvalOptions, planned: Plan, model: str, out: Output) -> EvalReport:
    from hf_select.evaluation.run import evaluate, shown
    from hf_select.recipes.stages import digest

    folder = f"{shown(model).replace('/', '--')}-{digest({'model': model, 'revision': options.revision})[:8]}"
    return evaluate(
        model,
        planned,
        options.out / folder,
        revision=options.revision,
        dtype=options.dtype,
        device=options.device,
        batch_size=options.batch_size,
        max_new_tokens=options.max_new_tokens,
        note=out.note,
    )


def _draw(comparison: Comparison, file: Path) -> None:
    from hf_select.files import write_atomically
    from hf_select.report.plots import differences

    told = comparison.as_dict()
    try:
        write_atomically(file, differences(told["tasks"], comparison.model, comparison.baseline))
    except MissingExtra:
        return  # the table says the same


def _floor(text: str) -> tuple[str, float]:
    task, _, value = text.partition("=")
    try:
        return task.rpartition("/")[2], float(value)
    except ValueError:
        raise UsageError(f"--fail-under {text}: give TASK=VALUE, such as docvqa_val=0.5.") from None


COMMAND = Command(
    "eval",
    "Measure models on benchmarks, by lmms-eval's own tasks, and compare them document by document.",
    EvalOptions,
    run,
    examples=(
        "hf-select eval me/llava-vit-15 --suite documents --baseline me/llava-random-15 --out evals/a",
        "hf-select eval runs/x/models/final-1 runs/x/models/final-2 --suite quick --limit 100 --out evals/b",
        "hf-select eval runs/x/models/final-1 --held-out eval.jsonl --metric chart_qa=relaxed_accuracy --out evals/c",
    ),
)
