"""OverlapReport: the pairs of rows and benchmark documents that share something, and the pool without these rows."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from hf_select.files import replacing, write_atomically
from hf_select.sampling.left_out import LEFT_OUT_FILE
from hf_select.text import table

if TYPE_CHECKING:
    from hf_select.sampling.selection import Selection

PAIRS = pa.schema(
    [
        ("key", pa.string()),
        ("row", pa.int64()),
        ("task", pa.string()),
        ("doc_id", pa.int64()),
        ("picture", pa.string()),
        ("distance", pa.int32()),
        ("question", pa.string()),
        ("containment", pa.float32()),
        ("leaks", pa.bool_()),
    ]
)
"""One row a pair: the pool row's address and position, task and position of the document, `picture` ("file", "pixels",
"near", or null) with its distance in bits, `question` ("same", "near", or null) with the share of it that the row's
question holds, and whether the pair is a leak (see `hf_select.evaluation.overlap.compare`)."""

LEFT_OUT = pa.schema(
    [
        ("key", pa.string()),
        ("reason", pa.string()),
        ("task", pa.string()),
        ("doc_id", pa.int64()),
        ("distance", pa.int32()),
    ]
)

_HEADS = ("task", "documents", "leaking", "rows", "file", "pixels", "near", "and question", "question alone")
_WORDS = {"file": "same file", "pixels": "same pixels", "near": "near picture", None: "same question, no picture"}


@dataclass(frozen=True)
class OverlapReport:
    """What a pool shares with benchmarks.

    Attributes:
        pairs: One row a pair, see `PAIRS`; by task, document and row.
        addresses: The address of every row of the pool, in its order.
        documents: Task -> how many documents were compared.
        unread_rows: Status -> rows whose pictures could not be compared.
        unread_documents: Status -> documents whose pictures could not be compared.
        templates: Pairs of questions that were not listed, because one side asks them of several pictures.
        near: Most bits that near pictures differ in.
        contained: Least share of a near question.
    """

    pairs: pa.Table
    addresses: tuple[str, ...]
    documents: Mapping[str, int]
    unread_rows: Mapping[str, int]
    unread_documents: Mapping[str, int]
    templates: int
    near: int
    contained: float

    def left_out(self) -> pa.Table:
        """The rows that leak, in the pool's order, each with its strongest pair: a table of `LEFT_OUT`."""
        order = list(_WORDS)
        strongest: dict[int, tuple] = {}
        for pair in self.pairs.to_pylist():
            if pair["leaks"]:
                rank = (order.index(pair["picture"]), pair["distance"] or 0, pair["task"], pair["doc_id"])
                strongest[pair["row"]] = min(strongest.get(pair["row"], rank), rank)
        rows = [
            {
                "key": self.addresses[row],
                "reason": f"overlaps {task}: {_WORDS[order[kind]]}",
                "task": task,
                "doc_id": doc_id,
                "distance": distance if order[kind] == "near" else None,
            }
            for row, (kind, distance, task, doc_id) in sorted(strongest.items())
        ]
        return pa.Table.from_pylist(rows, schema=LEFT_OUT)

    def kept(self) -> Selection:
        """Every row of the pool that doesn't leak, in the pool's order; its `rejected` says why the others are out."""
        from hf_select.sampling.selection import Selection, selection_table

        out = self.left_out()
        leaking = set(out["key"].to_pylist())
        keys = [key for key in self.addresses if key not in leaking]
        recipe = {
            "sampler": "overlap",
            "settings": {"near": self.near, "contained": self.contained, "documents": dict(self.documents)},
            "pool_rows": len(self.addresses),
        }
        rejected = dict(sorted(Counter(out["reason"].to_pylist()).items()))
        words = ["no overlap"] * len(keys)
        return Selection(selection_table(keys, words, None, words), (), recipe, tuple(self.notes()), rejected)

    def notes(self) -> list[str]:
        """What was not compared, one sentence each."""
        notes = [f"{count} rows could not be compared ({status})" for status, count in self.unread_rows.items()]
        for status, count in self.unread_documents.items():
            notes.append(f"{count} documents could not be compared ({status})")
        if self.templates:
            notes.append(f"{self.templates} pairs of questions are not listed: they are asked of several pictures")
        return notes

    def by_task(self) -> list[dict[str, Any]]:
        """One dict a task: documents, how many of them leak, rows that leak with them, and pairs by kind."""
        pairs = self.pairs.to_pylist()
        tasks = []
        for task, count in self.documents.items():
            mine = [pair for pair in pairs if pair["task"] == task]
            leaks = [pair for pair in mine if pair["leaks"]]
            kinds = Counter(pair["picture"] for pair in mine)
            tasks.append(
                {
                    "task": task,
                    "documents": count,
                    "documents_leaking": len({pair["doc_id"] for pair in leaks}),
                    "rows_leaking": len({pair["row"] for pair in leaks}),
                    "same_file": kinds["file"],
                    "same_pixels": kinds["pixels"],
                    "near_picture": kinds["near"],
                    "with_question": sum(pair["picture"] is not None and pair["question"] is not None for pair in mine),
                    "question_alone": kinds[None],
                }
            )
        return tasks

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON types, without the pairs."""
        return {
            "rows": len(self.addresses),
            "rows_leaking": self.left_out().num_rows,
            "pairs": self.pairs.num_rows,
            "tasks": self.by_task(),
            "unread_rows": dict(self.unread_rows),
            "unread_documents": dict(self.unread_documents),
            "template_pairs": self.templates,
            "near": self.near,
            "contained": self.contained,
        }

    def render(self, most: int = 20) -> str:
        """The report for a terminal, with the first `most` pairs."""
        about, total = self.as_dict(), sum(self.documents.values())
        lines = [
            f"{about['rows_leaking']:,} of {about['rows']:,} rows overlap with {total:,} documents",
            "",
            table(_HEADS, [list(task.values()) for task in about["tasks"]]),
        ]
        shown = [[_shown(pair[name]) for name in PAIRS.names[:8]] for pair in self.pairs.slice(0, most).to_pylist()]
        if shown:
            lines += ["", table(PAIRS.names[:8], shown)]
        if self.pairs.num_rows > most:
            lines.append(f"... and {self.pairs.num_rows - most:,} more pairs")
        return "\n".join([*lines, *(["", *self.notes()] if self.notes() else [])])

    def save(self, folder: str | Path, *, exclude: bool = False) -> list[Path]:
        """Write `pairs.parquet` and `overlap.json` into `folder`, each atomically; return the files.

        With `exclude` also `left_out.parquet` (`left_out`) and the Selection of the other rows (`kept`), which
        `Selection.load(folder)` reads; `--without FOLDER` of `hf-select run` and `select` reads the first.
        """
        import pyarrow.parquet as pq

        folder = Path(folder)
        tables = {"pairs.parquet": self.pairs}
        if exclude:
            tables[LEFT_OUT_FILE] = self.left_out()
            self.kept().save(folder)
        for name, content in tables.items():
            with replacing(folder / name) as part:
                pq.write_table(content, part)
        write_atomically(folder / "overlap.json", json.dumps(self.as_dict(), indent=1, ensure_ascii=False) + "\n")
        return [folder / name for name in (*tables, "overlap.json")]


def _shown(value: Any) -> Any:
    return f"{value:.2f}" if isinstance(value, float) else value
