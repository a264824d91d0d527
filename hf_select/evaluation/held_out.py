"""A pool's own held-out rows as a task of lmms-eval: questions in the row view, one metric for each task of the pool.

`eval/tasks/vit_heldout` is the same for lmms-eval's command line; its functions are these.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_select.errors import UnknownName, UsageError
from hf_select.evaluation.metrics import METRICS
from hf_select.evaluation.suite import Suite
from hf_select.evaluation.tasks import task_config_file, task_object
from hf_select.pool.row import OK, Row
from hf_select.pool.view import PoolView
from hf_select.resources import resource_dir

if TYPE_CHECKING:
    from datasets import Dataset
    from lmms_eval.api.task import ConfigurableTask

METRIC = "score"
"""lmms-eval's key of every held-out task: the mean over its rows of the task's metric, 0 to 1."""

DEFAULT_METRIC = "exact_match"
SPLIT = "heldout"
_COLUMNS = ("images", "messages", "answers", "task", "metric", "row_key")


def held_out_documents(
    pool: Dataset, *, view: PoolView | None = None, metrics: Mapping[str, str] | None = None
) -> Dataset:
    """Make documents of a pool's rows: each asks the row's last question, earlier turns shown.

    Args:
        pool: Any pool that the row view reads; each usable row has at least one answer.
        view: How it is read.
        metrics: Task -> name of a metric; a row without a task, or of a task that isn't here, is scored by exact match.

    Returns:
        The columns `images` (list of Image, the files' own bytes), `messages` (JSON: role and texts, null for a
        picture's place), `answers` (list of str), `task`, `metric` and `row_key`, a row for each of the pool, in order.

    Raises:
        UsageError: A row can't be asked; held-out rows are never left out silently.
        UnknownName: There is no such metric.
        hf_select.pool.images.ImageProblem: A picture can't be read.
    """
    import datasets

    for name in (metrics or {}).values():
        if name not in METRICS:
            raise UnknownName("metric", name, METRICS)
    rows = (view or PoolView()).rows
    features = datasets.Features(
        {
            "images": datasets.List(datasets.Image()),
            "messages": datasets.Value("string"),
            "answers": datasets.List(datasets.Value("string")),
            **{name: datasets.Value("string") for name in ("task", "metric", "row_key")},
        }
    )
    return pool.with_format("arrow").map(
        partial(_batch, rows=rows, metrics=dict(metrics or {})),
        batched=True,
        batch_size=64,
        remove_columns=pool.column_names,
        features=features,
        desc="held-out rows",
    ).with_format(None)  # fmt: skip


def held_out_tasks(
    suite: Suite, pool: Dataset, *, view: PoolView | None = None, limit: int | None = None, chat: bool = True
) -> dict[str, ConfigurableTask]:
    """Make one lmms-eval task for each task of a held-out suite.

    Args:
        suite: With `held_out`.
        pool: The held-out rows.
        view: How they are read.
        limit: So many rows of each task from the start.
        chat: As for `build_task`.

    Raises:
        UsageError: A task of the suite has no row.
    """
    wanted = {task.task: task.metric for task in suite.tasks}
    rows = held_out_documents(pool, view=view, metrics=wanted)
    labels = rows["task"]
    made = {}
    for name in wanted:
        mine = [at for at, label in enumerate(labels) if label == name][:limit]
        if not mine:
            raise UsageError(f"the held-out rows have no task {name!r} of suite {suite.name}: give its own split.")
        config = task_config_file(folder() / "vit_heldout.yaml") | {"task": name, "process_docs": None}
        made[name] = task_object(config, rows.select(mine), SPLIT, chat=chat)
    return made


def folder() -> Path:
    """The folder of the task's file, for `include:` in a file of one's own and for lmms-eval's `--include_path`."""
    return resource_dir("eval") / "tasks" / "vit_heldout"


def process_docs(pool: Dataset) -> Dataset:
    """The documents of any pool, for lmms-eval; a column `metric` of the pool names each row's metric."""
    if set(_COLUMNS) <= set(pool.column_names):
        return pool
    documents = held_out_documents(pool)
    if "metric" not in pool.column_names:
        return documents
    named = [name or DEFAULT_METRIC for name in pool["metric"]]
    return documents.remove_columns("metric").add_column("metric", named)


def doc_to_visual(doc: Mapping[str, Any]) -> list[Any]:
    """All pictures of the conversation, in order."""
    return [image.convert("RGB") for image in doc["images"]]


def doc_to_text(doc: Mapping[str, Any], lmms_eval_specific_kwargs: Mapping[str, Any] | None = None) -> str:
    """The last question; for models without messages earlier turns stand before it, a line each."""
    kwargs = lmms_eval_specific_kwargs or {}
    said = [" ".join(text for text in texts if text) for _, texts in json.loads(doc["messages"])]
    return f"{kwargs.get('pre_prompt', '')}{chr(10).join(said)}{kwargs.get('post_prompt', '')}"


def doc_to_messages(doc: Mapping[str, Any], lmms_eval_specific_kwargs: Mapping[str, Any] | None = None) -> list[dict]:
    """The conversation up to the answer, with the pictures in their places."""
    kwargs = lmms_eval_specific_kwargs or {}
    images = iter(doc_to_visual(doc))
    messages = [
        {
            "role": role,
            "content": [
                {"type": "image", "url": next(images)} if text is None else {"type": "text", "text": text}
                for text in texts
            ],
        }
        for role, texts in json.loads(doc["messages"])
    ]
    texts = [part for part in messages[-1]["content"] if part["type"] == "text"]
    if texts:
        texts[0]["text"] = kwargs.get("pre_prompt", "") + texts[0]["text"]
        texts[-1]["text"] += kwargs.get("post_prompt", "")
    return messages


def process_results(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """The document's metric: lmms-eval's own function where it has one, else the one of `metrics`."""
    return {METRIC: scored(doc["metric"], results[0], doc["answers"])}


def scored(name: str, prediction: str, references: Sequence[str]) -> float:
    """Score one answer: `anls` and `relaxed_accuracy` by lmms-eval's code, the others by `metrics`."""
    if name == "anls":
        from lmms_eval.api.metrics import anls

        return float(anls(references=list(references), predictions=[prediction])["anls"])
    if name == "relaxed_accuracy":
        from lmms_eval.tasks.chartqa.utils import relaxed_correctness

        return float(any(relaxed_correctness(prediction, reference) for reference in references))
    if name not in METRICS:
        raise UnknownName("metric", name, METRICS)
    return METRICS[name](prediction, references)


def _batch(batch: Any, rows: Any, metrics: Mapping[str, str]) -> dict[str, list]:
    columns: dict[str, list] = {name: [] for name in _COLUMNS}
    for row in rows(batch):
        for name, value in _document(row, metrics).items():
            columns[name].append(value)
    return columns


def _document(row: Row, metrics: Mapping[str, str]) -> dict[str, Any]:
    if row.status != OK:
        raise UsageError(f"the held-out row {row.id or row.key} can't be asked ({row.status}): {row.reason}")
    last = max((at for at, m in enumerate(row.messages) if m.role == "assistant" and m.supervised), default=0)
    before = row.messages[:last]
    if not before or before[-1].role != "user":
        raise UsageError(f"the held-out row {row.id or row.key} has no question with an answer: leave it out.")
    images = row.images[: sum(message.n_images for message in before)]
    return {
        "images": [{"bytes": image.bytes(), "path": None} for image in images],
        "messages": json.dumps([[m.role, [part.text for part in m.parts]] for m in before], ensure_ascii=False),
        "answers": [row.messages[last].text],
        "task": row.task,
        "metric": metrics.get(row.task or "", DEFAULT_METRIC),
        "row_key": row.key,
    }
