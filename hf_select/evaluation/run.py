"""From a model to an `EvalReport`: everything that can be missing first, then task by task through lmms-eval."""

from __future__ import annotations

import hashlib
import math
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from hf_select._version import __version__
from hf_select.errors import HFSelectError, UsageError
from hf_select.evaluation.report import SAMPLES, EvalReport, TaskResult
from hf_select.evaluation.suite import Benchmark, load_suite

if TYPE_CHECKING:
    from datasets import Dataset

    from hf_select.evaluation.answers import Answers
    from hf_select.evaluation.suite import Suite
    from hf_select.pool.view import PoolView

NO_TASK = "(no task)"
_TASK_ERRORS = (
    HFSelectError,
    RuntimeError,
    ValueError,
    LookupError,
    OSError,
    TypeError,
    ArithmeticError,
    AssertionError,
)


@dataclass(frozen=True, kw_only=True)
class Job:
    """One task and its documents.

    Attributes:
        task: Its name.
        metric: The metric's key, as lmms-eval writes it without its filter.
        scale: The metric's largest value.
        source: Where the documents are from, for people.
        digests: One digest a document, in order.
        build: Makes the task object; anew for every model, since some tasks keep counts.
    """

    task: str
    metric: str
    scale: float
    source: str
    digests: tuple[str, ...]
    build: Callable[[], Any]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to evaluate on, found before any model is loaded.

    Attributes:
        suite: The suite's name.
        jobs: The tasks.
        limit: So many documents a task, None for all.
    """

    suite: str
    jobs: tuple[Job, ...]
    limit: int | None = None


def plan(
    suite: str | Path | Suite,
    *,
    tasks: list[str] | None = None,
    data_root: str | Path | None = None,
    limit: int | None = None,
) -> Plan:
    """Find the documents of a suite of benchmarks; no model is touched.

    Args:
        suite: A name of `hf-select ls suites`, a YAML file, or a `Suite`.
        tasks: Only these of its tasks.
        data_root: Folder with local copies of the data sets; the Hub or its caches otherwise.
        limit: So many documents of each task, from the start.

    Raises:
        UsageError: A task, folder, split or column that isn't there, or a judge that isn't named.
        HFSelectError: A data set that the Hub doesn't give.
    """
    from hf_select.evaluation.data import check_access, check_judge, check_limit, documents
    from hf_select.evaluation.tasks import build_task

    chosen = suite if not isinstance(suite, str | Path) else load_suite(suite)
    chosen = chosen.only(tasks) if tasks else chosen
    if chosen.held_out:
        raise UsageError(f"the suite {chosen.name} is about held-out rows: give them with --held-out.")
    benchmarks = [task for task in chosen.tasks if isinstance(task, Benchmark)]
    check_judge(benchmarks)
    for benchmark in benchmarks:
        check_limit(benchmark, limit)
        check_access(benchmark, data_root=data_root)
    found = [documents(benchmark, data_root=data_root, limit=limit) for benchmark in benchmarks]
    jobs = tuple(
        Job(
            task=one.benchmark.task,
            metric=one.benchmark.metric,
            scale=float(one.benchmark.scale),
            source=one.source,
            digests=tuple(one.digests()),
            build=partial(build_task, one),
        )
        for one in found
    )
    return Plan(suite=chosen.name, jobs=jobs, limit=limit)


def plan_held_out(
    pool: Dataset,
    *,
    name: str = "held-out",
    view: PoolView | None = None,
    metrics: Mapping[str, str] | None = None,
    tasks: list[str] | None = None,
    limit: int | None = None,
) -> Plan:
    """Make one task of every task label of held-out rows; no model is touched.

    Args:
        pool: The held-out rows, in any schema.
        name: What to call them.
        view: How they are read.
        metrics: Task -> metric, one of `hf_select.evaluation.metrics.METRICS`; exact match for the others.
        tasks: Only these.
        limit: So many rows of each task, from the start.

    Raises:
        UsageError: A row that can't be asked, or a task without rows.
        UnknownName: There is no such metric.
    """
    from hf_select.evaluation.held_out import METRIC, SPLIT, folder, held_out_documents
    from hf_select.evaluation.tasks import task_config_file, task_object

    rows = held_out_documents(pool, view=view, metrics=metrics)
    labels = [label or NO_TASK for label in rows["task"]]
    wanted = tasks or sorted(set(labels))
    jobs = []
    for task in wanted:
        mine = [at for at, label in enumerate(labels) if label == task][:limit]
        if not mine:
            raise UsageError(f"the held-out rows have no task {task!r}; they have {', '.join(sorted(set(labels)))}.")
        chosen = rows.select(mine)
        config = task_config_file(folder() / "vit_heldout.yaml") | {"task": task, "process_docs": None}
        parts = zip(chosen["row_key"], chosen["answers"], chosen["metric"], strict=True)
        digests = tuple(_digest([key, *answers, metric]) for key, answers, metric in parts)
        build = partial(task_object, config, chosen, SPLIT, chat=True)
        jobs.append(Job(task=task, metric=METRIC, scale=1.0, source=name, digests=digests, build=build))
    return Plan(suite=name, jobs=tuple(jobs), limit=limit)


def evaluate(
    model: str,
    planned: Plan,
    out: str | Path,
    *,
    revision: str | None = None,
    adapter: str | None = None,
    dtype: str = "auto",
    device: str | None = None,
    batch_size: int = 1,
    max_new_tokens: int = 128,
    note: Callable[[str], None] = lambda text: None,
) -> EvalReport:
    """Evaluate a model and keep report and answers in `out`; the same call goes on where a killed one was.

    Prompts, answers' post-processing and metrics are lmms-eval's own. A task that fails has no result and a sentence in
    `EvalReport.failed`; the others are not touched by it.

    Args:
        model: Hub id or folder of a model with a chat template, or of a peft adapter.
        planned: From `plan`.
        out: Gets `report.json`, `samples.parquet` and `answers.jsonl`.
        revision: Branch, tag or commit of a Hub model.
        adapter: Hub id or folder of a peft adapter to merge in.
        dtype: "auto", "float32" or "bfloat16".
        device: Where to run; None for the best there is.
        batch_size: Questions in one call of `generate`.
        max_new_tokens: Longest answer where a task names no limit.
        note: Called with one sentence of progress at a time.

    Raises:
        UsageError: The model can't be used.
        MissingExtra: lmms-eval isn't installed.
    """
    from hf_select.evaluation.adapter import HFSelectChat
    from hf_select.evaluation.answers import Answers
    from hf_select.evaluation.harness import harness
    from hf_select.scoring.model import load_vlm, resolve_dtype
    from hf_select.scoring.weights import commit_to_load, weights_identity

    versions = {"lmms-eval": harness(), "hf_select": __version__}
    versions |= {name: metadata.version(name) for name in ("transformers", "torch")}
    identity = {"weights": weights_identity(model, revision), "dtype": resolve_dtype(dtype, device)}
    if adapter is not None:
        identity["adapter"] = weights_identity(adapter)
    answers = Answers(Path(out), identity)
    note(f"loading {shown(model)}")
    vlm, processor = load_vlm(model, commit_to_load(identity["weights"]), adapter, identity["dtype"], device)
    made = HFSelectChat.of(vlm, processor, batch_size=batch_size, max_new_tokens=max_new_tokens, journal=answers)
    results, samples, failed = [], [], {}
    for job in planned.jobs:
        task = job.task
        note(f"{task}: {len(job.digests):,} documents")
        started = time.time()
        try:
            given = _run(made, job, answers)
        except _TASK_ERRORS as error:
            failed[task] = f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"
            note(f"{task} failed: {failed[task]}")
            continue
        value, rows = given
        samples += rows
        settings = {
            "documents": job.source,
            "limit": planned.limit,
            "max_new_tokens": max_new_tokens,
            "prompts": _digest([row["prompt"] for row in rows]),
        }
        scores = [row["score"] for row in rows]
        results.append(
            TaskResult(
                task,
                job.metric,
                value,
                job.scale,
                len(rows),
                _stderr(scores, value),
                _digest([row["document"] for row in rows]),
                settings,
                round(time.time() - started, 3),
                sum(not row["answer"].strip() for row in rows),
            )
        )
    weights = str(identity["weights"].get("commit") or identity["weights"].get("digest"))
    table = pa.Table.from_pylist(samples, SAMPLES)
    report = EvalReport(shown(model), weights, planned.suite, tuple(results), versions, table, failed)
    report.save(out)
    note(f"{answers.computed:,} answers computed, {answers.reused:,} found")
    return report


def shown(model: str) -> str:
    """A model's name without the folders of this machine."""
    return Path(model).name if Path(model).exists() else model


def _run(made: Any, job: Job, answers: Answers) -> tuple[float, list[dict[str, Any]]]:
    """Run one task in a folder of its own; return its value and one row a document."""
    from hf_select.evaluation.harness import metric_value, run_tasks

    with tempfile.TemporaryDirectory(prefix="hf-select-eval-") as scratch:
        given = run_tasks(made, [job.build()], scratch, batch_size=made.batch_size)
    value = metric_value(given, job.task, job.metric)
    said = given["samples"][job.task]
    if len(said) != len(job.digests):
        raise HFSelectError(f"{job.task} answered {len(said)} of {len(job.digests)} documents.")
    rows = []
    for sample in sorted(said, key=lambda one: one["doc_id"]):
        at = int(sample["doc_id"])
        rows.append(
            {
                "task": job.task,
                "doc_id": at,
                "document": job.digests[at],
                "prompt": answers.prompts.get((job.task, at), ""),
                "answer": _text(sample["filtered_resps"]),
                "target": _text(sample.get("target")),
                "score": _score(sample.get(job.metric)),
            }
        )
    return value, rows


def _score(value: Any) -> float | None:
    """A document's own score, where the task gives one: a number, or the field `score` of a record."""
    if isinstance(value, Mapping):
        value = value.get("score")
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _text(value: Any) -> str:
    while isinstance(value, list | tuple) and len(value) == 1:
        value = value[0]
    return "" if value is None else str(value)


def _stderr(scores: list[float | None], value: float) -> float | None:
    """The standard error of the mean of the documents' scores, where their mean is the task's value."""
    if len(scores) < 2 or any(score is None for score in scores):
        return None
    mean = sum(scores) / len(scores)
    if abs(mean - value) > 1e-6 * max(1.0, abs(value)):
        return None
    spread = sum((score - mean) ** 2 for score in scores) / (len(scores) - 1)
    return math.sqrt(spread / len(scores))


def _digest(values: list[str]) -> str:
    return hashlib.blake2b("\n".join(values).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
