"""Suites: named lists of benchmark tasks, read from `eval/` and checked, with what is known of each task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from hf_select.errors import UnknownName, UsageError
from hf_select.evaluation.metrics import METRICS, metric
from hf_select.resources import resource_dir
from hf_select.text import table

Limit = Literal["any", "even", "none"]
LIMITS = ("any", "even", "none")


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """One task of lmms-eval and where its documents come from; the fields are explained in `eval/benchmarks.yaml`.

    Attributes:
        task: lmms-eval's name of it.
        benchmark: The name that papers use.
        yaml: The task's file, relative to the folder of lmms-eval's tasks.
        dataset: Hub id of the documents.
        config: Configuration of the dataset.
        split: Split of the dataset.
        columns: Columns that the task reads.
        metric: lmms-eval's key of the metric, without its filter.
        scale: The metric's largest value.
        revision: Branch, tag or commit of the dataset; None for the newest.
        licence: Of the original data set.
        judge: Whether a language model behind an API key is needed.
        account: Whether the Hub asks for an account; None where that isn't known.
        limit: Which limits keep the metric right: "any", "even" or "none".
        pictures: Configuration that holds the pictures, where they are not beside the questions.
        override: Name of our change to lmms-eval's task, see `hf_select.evaluation.tasks`.
        note: What a reader of the number should know.
    """

    task: str
    benchmark: str
    yaml: str
    dataset: str
    split: str
    columns: tuple[str, ...]
    metric: str
    scale: float = 1
    config: str | None = None
    revision: str | None = None
    licence: str = "unknown"
    judge: bool = False
    account: bool | None = None
    limit: Limit = "any"
    pictures: str | None = None
    override: str | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """One task of a pool's own held-out rows, scored by a metric of `hf_select.evaluation.metrics`.

    Attributes:
        task: The rows' task label.
        metric: Name of the metric.
        scale: The metric's largest value.
    """

    task: str
    metric: str
    scale: float = 1


@dataclass(frozen=True)
class Suite:
    """A named list of tasks: benchmarks of lmms-eval, or the held-out tasks of a pool, never both.

    Attributes:
        name: As `hf-select ls suites` lists it.
        description: One sentence.
        tasks: What is measured, in order.
        notes: What a reader of the suite's table should know.
        split: The pool's split, for held-out tasks.
    """

    name: str
    description: str
    tasks: tuple[Benchmark | HeldOut, ...]
    notes: str = ""
    split: str | None = None

    @property
    def held_out(self) -> bool:
        """Whether the tasks are those of a pool's own held-out rows."""
        return isinstance(self.tasks[0], HeldOut)

    def only(self, names: list[str]) -> Suite:
        """The suite with the named tasks alone, in its own order; raises `UnknownName`."""
        known = {task.task for task in self.tasks}
        for name in names:
            if name not in known:
                raise UnknownName(f"task of suite {self.name}", name, known)
        return replace(self, tasks=tuple(task for task in self.tasks if task.task in names))

    def without_judge(self) -> Suite:
        """The suite without the tasks that need a judge.

        Raises:
            UsageError: Nothing would be left.
        """
        tasks = tuple(task for task in self.tasks if isinstance(task, HeldOut) or not task.judge)
        if not tasks:
            raise UsageError(f"every task of suite {self.name} needs a judge: set OPENAI_API_KEY, or take another.")
        return replace(self, tasks=tasks)

    def render(self) -> str:
        """What `hf-select show` prints."""
        if self.held_out:
            rows = [[task.task, task.metric, task.scale] for task in self.tasks]
            lines = [f"held-out rows of a pool, split {self.split}:", "", table(["task", "metric", "scale"], rows)]
        else:
            lines = [table(_HEADS, [_row(task) for task in self.tasks])]
            lines += ["", *(f"{task.task}: {task.note}" for task in self.tasks if task.note)]
        return "\n".join([self.description, "", *lines, *(["", self.notes.strip()] if self.notes else [])]).strip()


_HEADS = ["benchmark", "task", "dataset", "revision", "split", "metric", "scale", "licence", "judge", "account"]


def _row(task: Benchmark) -> list[Any]:
    dataset = task.dataset + (f" ({task.config})" if task.config else "")
    account = {None: "unknown", True: "yes", False: "no"}[task.account]
    return [
        task.benchmark, task.task, dataset, task.revision or "newest", task.split, task.metric, f"{task.scale:g}",
        task.licence, "yes" if task.judge else "no", account,
    ]  # fmt: skip


def suite_names() -> list[str]:
    """Names of the suites of this installation."""
    return sorted(path.stem for path in (resource_dir("eval") / "suites").glob("*.yaml"))


def load_suite(name: str | Path) -> Suite:
    """Read a suite by its name, or from a YAML file of one's own.

    Raises:
        UnknownName: There is no such suite.
        UsageError: The file can't be read as a suite; the sentence says where.
    """
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        if str(name) not in suite_names():
            raise UnknownName("suite", str(name), suite_names())
        path = resource_dir("eval") / "suites" / f"{name}.yaml"
    data = _mapping(path)
    extra = set(data) - {"description", "tasks", "notes", "split"}
    entries = data.get("tasks")
    if extra or not isinstance(entries, list) or not entries:
        wrong = f"unknown key {sorted(extra)[0]!r}" if extra else "no list of tasks"
        raise UsageError(f"{path.name} is no suite ({wrong}): give description, tasks, and notes or split if needed.")
    benchmarks = load_benchmarks()
    tasks = tuple(_task(entry, benchmarks, path.name) for entry in entries)
    if len({type(task) for task in tasks}) > 1 or len({task.task for task in tasks}) < len(tasks):
        raise UsageError(f"{path.name} mixes benchmarks with held-out tasks or names a task twice: split it.")
    notes, split = data.get("notes", ""), data.get("split")
    return Suite(path.stem, " ".join(str(data.get("description", "")).split()), tasks, str(notes), split)


@cache
def load_benchmarks() -> Mapping[str, Benchmark]:
    """Read `eval/benchmarks.yaml`: task -> what is known of it."""
    found = _mapping(resource_dir("eval") / "benchmarks.yaml")
    made = {task: _benchmark({"task": task, **entry}, "benchmarks.yaml") for task, entry in found.items()}
    return MappingProxyType(made)


def _task(entry: Any, benchmarks: Mapping[str, Benchmark], file: str) -> Benchmark | HeldOut:
    if isinstance(entry, str):
        if entry not in benchmarks:
            raise UnknownName(f"task in {file}", entry, benchmarks)
        return benchmarks[entry]
    if not isinstance(entry, dict) or not isinstance(entry.get("task"), str):
        raise UsageError(f"{file} has a task without a name: write a task's name, or task: and its fields.")
    if set(entry) <= {"task", "metric"} and entry.get("metric") in METRICS:
        metric(entry["metric"])
        return HeldOut(**entry)
    known = benchmarks.get(entry["task"])
    base = {} if known is None else {field.name: getattr(known, field.name) for field in fields(known)}
    return _benchmark(base | entry, file)


def _benchmark(entry: dict[str, Any], file: str) -> Benchmark:
    names = {field.name for field in fields(Benchmark)}
    for name in entry:
        if name not in names:
            raise UnknownName(f"field of {entry['task']} in {file}", name, names)
    try:
        made = Benchmark(**entry | {"columns": tuple(entry.get("columns", ()))})
    except TypeError as error:
        raise UsageError(f"{entry['task']} in {file} lacks a field: {error}") from error
    if made.limit not in LIMITS:
        raise UnknownName(f"limit of {made.task}", str(made.limit), LIMITS)
    return made


def _mapping(path: Path) -> dict[str, Any]:
    import yaml

    try:
        data = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        told = " ".join(str(error).split())
        raise UsageError(f"{path} can't be read as YAML ({told}): give a suite's file.") from error
    if not isinstance(data, dict):
        raise UsageError(f"{path} holds no mapping: see eval/suites of this package for the form.")
    return data
