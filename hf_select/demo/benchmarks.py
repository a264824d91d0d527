"""The demo's held-out documents and charts as DocVQA and ChartQA, asked and scored by lmms-eval's own task code."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_select.demo.pool import Document

if TYPE_CHECKING:
    from hf_select.evaluation.compare import Comparison
    from hf_select.evaluation.suite import Suite

DOCUMENTS = ("form", "receipt")
CHARTS = ("chart_value", "chart_extreme")


def write_benchmarks(documents: Sequence[Document], root: Path) -> Path:
    """Write the documents in the columns and the layout of DocVQA and ChartQA; return the data root."""
    pages = [document for document in documents if document.task in DOCUMENTS]
    charts = [document for document in documents if document.task in CHARTS]
    _write([_page(at, one) for at, one in enumerate(pages)], root / "DocVQA" / "DocVQA" / "validation-00000.parquet")
    _write([_chart(one) for one in charts], root / "ChartQA" / "data" / "test-00000.parquet")
    return root


def suite() -> Suite:
    """DocVQA and ChartQA with the bare question as prompt: the demo's model knows no other words."""
    from hf_select.evaluation.suite import Suite, load_benchmarks

    known = load_benchmarks()
    tasks = tuple(replace(known[name], override="bare_question") for name in ("docvqa_val", "chartqa"))
    return Suite(name="demo", description="The demo's documents and charts.", tasks=tasks)


def compare_models(
    documents: Sequence[Document], models: Mapping[str, Sequence[Path]], out: Path, *, baseline: str
) -> dict[str, Comparison] | None:
    """Evaluate every model through lmms-eval and compare each subset's with the baseline's, document by document.

    Args:
        documents: The held-out documents.
        models: Subset -> its model of every seed.
        out: Keeps data, answers and reports.
        baseline: The subset that the others are compared with.

    Returns:
        Subset -> its comparison; None where lmms-eval isn't installed.
    """
    from hf_select.errors import MissingExtra
    from hf_select.evaluation.compare import compare
    from hf_select.evaluation.run import evaluate, plan

    planned = plan(suite(), data_root=write_benchmarks(documents, out / "data"))

    def reports(name: str) -> list[Any]:
        return [
            evaluate(str(model), planned, out / f"{name}-{seed}", dtype="float32", device="cpu", batch_size=40)
            for seed, model in enumerate(models[name])
        ]

    try:
        # lmms-eval's own bars and advice would stand between the demo's lines.
        with contextlib.redirect_stderr(io.StringIO()):
            done = {name: [replace(report, model=name) for report in reports(name)] for name in models}
    except MissingExtra:
        return None
    return {name: compare(runs, done[baseline]) for name, runs in done.items() if name != baseline}


def _page(number: int, document: Document) -> dict[str, Any]:
    return {
        "questionId": str(number),
        "question": document.question,
        "question_types": [document.task],
        "image": {"bytes": document.image.read_bytes(), "path": None},
        "docId": number,
        "ucsf_document_id": document.task,
        "ucsf_document_page_no": "1",
        "answers": [document.answer],
        "data_split": "val",
    }


def _chart(document: Document) -> dict[str, Any]:
    return {
        "type": "human_test" if document.task == CHARTS[0] else "augmented_test",
        "question": document.question,
        "answer": document.answer,
        "image": {"bytes": document.image.read_bytes(), "path": None},
    }


def _write(rows: list[dict[str, Any]], file: Path) -> None:
    from datasets import Dataset, Image

    file.parent.mkdir(parents=True, exist_ok=True)
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    Dataset.from_dict(columns).cast_column("image", Image()).to_parquet(file)
