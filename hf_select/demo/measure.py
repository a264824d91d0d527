"""What the demo measures: held-out answers by task, and what of the planted rows a selection took."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hf_select.demo.pool import DemoPool, Document
from hf_select.pool.images import RowImage
from hf_select.pool.row import IMAGE, Message, Part, Row
from hf_select.resources import resource_dir

if TYPE_CHECKING:
    from datasets import Dataset

    from hf_select.pool.view import PoolView
    from hf_select.sampling.selection import Selection


def suite_metrics(name: str = "demo") -> dict[str, str]:
    """Return task -> name of its metric, from the suite's YAML, in its order."""
    import yaml

    text = (resource_dir("eval") / "suites" / f"{name}.yaml").read_text("utf-8")
    return {entry["task"]: entry["metric"] for entry in yaml.safe_load(text)["tasks"]}


def question(document: Document) -> Row:
    """Return the row of a held-out question, without its answer."""
    parts = (IMAGE, Part(document.question))
    return Row((Message("user", parts),), (RowImage.of(str(document.image)),), task=document.task)


def held_out_scores(model: str | Path, documents: Sequence[Document], *, device: str = "cpu") -> dict[str, float]:
    """Answer every document greedily and return each task's mean score, 0 to 100, by the suite's metric."""
    from hf_select.evaluation.metrics import mean_score
    from hf_select.scoring.generate import generate_answers
    from hf_select.scoring.model import load_vlm

    vlm, processor = load_vlm(str(model), dtype="float32", device=device)
    answers = generate_answers(vlm, processor, [question(d) for d in documents], batch_size=40, max_new_tokens=10)
    scores = {}
    for task, name in suite_metrics().items():
        mine = [(said, [d.answer]) for said, d in zip(answers, documents, strict=True) if d.task == task]
        scores[task] = 100 * mean_score(name, [said for said, _ in mine], [wanted for _, wanted in mine])
    return scores


def macro(scores: Mapping[str, float]) -> float:
    """The mean over tasks, each counting the same."""
    return sum(scores.values()) / len(scores)


@dataclass(frozen=True)
class Picked:
    """What a subset is made of: rows, planted copies, planted wrong answers, and rows of each task."""

    rows: int
    copies: int
    wrong: int
    tasks: dict[str, int]


def look_at(selection: Selection, rows: Dataset, planted: DemoPool, view: PoolView) -> Picked:
    """Count what `selection` took of `rows`, the pool as it was read."""
    taken = rows.select_columns(["id", "task"])[selection.indices(rows, view).tolist()]
    tasks = {task: taken["task"].count(task) for task in suite_metrics()}
    return Picked(len(selection), _within(taken["id"], planted.copies), _within(taken["id"], planted.wrong), tasks)


def _within(ids: Iterable[str], marked: frozenset[str]) -> int:
    return sum(name in marked for name in ids)
