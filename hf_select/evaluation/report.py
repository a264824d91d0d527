"""EvalReport: what one model scored on one suite, document by document; saved, loaded, shown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hf_select.errors import UsageError
from hf_select.files import replacing, write_atomically
from hf_select.text import plain, table

REPORT_FILE = "report.json"
SAMPLES_FILE = "samples.parquet"
FORMAT = 1

SAMPLES = pa.schema(
    [
        ("task", pa.string()),
        ("doc_id", pa.int64()),
        ("document", pa.string()),
        ("prompt", pa.string()),
        ("answer", pa.string()),
        ("target", pa.string()),
        ("score", pa.float64()),
    ]
)
"""One row a document and task: `document` is a digest of the document itself, `score` null where the task's metric has
no value for a single document."""


@dataclass(frozen=True)
class TaskResult:
    """What one task gave.

    Attributes:
        task: The suite's name of it.
        metric: The metric's key, as lmms-eval writes it without its filter.
        value: The metric on the scale of `scale`.
        scale: The metric's largest value: 1, 100, 1000 or 2000.
        n: Documents that were answered.
        stderr: Standard error of the mean over documents on the same scale; None where the metric is no such mean.
        data: Digest over the documents.
        settings: What decides the answers beside the weights: prompts, generation, revision, limit.
        seconds: Wall time of the task in this run.
        empty: Answers without a word; many of them mean that the form is wrong, not the model's knowledge.
    """

    task: str
    metric: str
    value: float
    scale: float
    n: int
    stderr: float | None
    data: str
    settings: Mapping[str, Any]
    seconds: float
    empty: int = 0

    @property
    def percent(self) -> float:
        """The value on a scale of 0 to 100."""
        return 100 * self.value / self.scale


@dataclass(frozen=True)
class EvalReport:
    """The results of one model on one suite.

    Attributes:
        model: The model's name, without folders of this machine.
        weights: Digest or commit of the weights.
        suite: The suite's name.
        tasks: The results, in the suite's order.
        versions: Versions of the harness and the libraries that decide numbers.
        samples: One row a document, see `SAMPLES`.
        failed: Task -> one sentence, for tasks that have no result.
    """

    model: str
    weights: str
    suite: str
    tasks: tuple[TaskResult, ...]
    versions: Mapping[str, str]
    samples: pa.Table
    failed: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, task: str) -> TaskResult:
        for result in self.tasks:
            if result.task == task:
                return result
        raise KeyError(task)

    @property
    def macro(self) -> float | None:
        """The mean over tasks, each on a scale of 0 to 100 and counting the same; None without a result."""
        return sum(t.percent for t in self.tasks) / len(self.tasks) if self.tasks else None

    def scores(self, task: str) -> dict[str, float]:
        """Document digest -> score, for the documents of `task` that have one."""
        mine = self.samples.filter(pc.equal(self.samples["task"], task))
        pairs = zip(mine["document"].to_pylist(), mine["score"].to_pylist(), strict=True)
        return {document: score for document, score in pairs if score is not None}

    def save(self, folder: str | Path) -> Path:
        """Write `report.json` and `samples.parquet` into `folder`, each whole; returns the folder."""
        folder = Path(folder)
        with replacing(folder / SAMPLES_FILE) as part:
            pq.write_table(self.samples, part)
        write_atomically(folder / REPORT_FILE, json.dumps(self.as_dict(), indent=1, ensure_ascii=False))
        return folder

    @classmethod
    def load(cls, folder: str | Path) -> EvalReport:
        """Read what `save` wrote.

        Raises:
            UsageError: A file that is missing or of another layout.
        """
        folder = Path(folder)
        try:
            data = json.loads((folder / REPORT_FILE).read_text("utf-8"))
            samples = pq.read_table(folder / SAMPLES_FILE)
            if data["format"] != FORMAT or samples.schema != SAMPLES:
                raise UsageError(f"{folder} holds a report of another version: run the evaluation again.")
            tasks = tuple(TaskResult(**entry) for entry in data["tasks"])
            rest = {name: data[name] for name in ("model", "weights", "suite", "versions", "failed")}
        except (OSError, ValueError, KeyError, TypeError, pa.ArrowInvalid) as error:
            told = plain(str(error))
            raise UsageError(f"{folder} holds no evaluation report ({told}): run hf-select eval.") from error
        return cls(tasks=tasks, samples=samples, **rest)

    def as_dict(self) -> dict[str, Any]:
        """Everything but the samples as plain values."""
        return {
            "format": FORMAT,
            "model": self.model,
            "weights": self.weights,
            "suite": self.suite,
            "macro": self.macro,
            "tasks": [asdict(task) for task in self.tasks],
            "versions": dict(self.versions),
            "failed": dict(self.failed),
        }

    def render(self) -> str:
        """A text table for people."""
        rows = [[t.task, t.metric, f"{t.percent:.2f}", _half(t), t.n, t.empty, f"{t.seconds:.1f}"] for t in self.tasks]
        rows.append(["mean of tasks", "", "-" if self.macro is None else f"{self.macro:.2f}", "", "", "", ""])
        lines = [table(["task", "metric", "0-100", "± 95 %", "documents", "empty answers", "seconds"], rows)]
        lines += [f"{task} failed: {plain(reason)}" for task, reason in self.failed.items()]
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.render()


def _half(result: TaskResult) -> str:
    return "-" if result.stderr is None else f"{1.96 * 100 * result.stderr / result.scale:.2f}"
