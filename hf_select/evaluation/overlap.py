"""Which rows of a pool hold a picture or a question of a benchmark."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from hf_select.evaluation.documents import Document, hash_documents
from hf_select.evaluation.overlap_report import PAIRS, OverlapReport
from hf_select.evaluation.questions import CONTAINED, QuestionIndex, containment, normalised
from hf_select.pool.hamming import near_pairs
from hf_select.pool.perceptual import NEAR, SAME_COLOURS, colour_difference
from hf_select.pool.row import OK
from hf_select.sampling.keys import ROW_KEY, unique_keys

if TYPE_CHECKING:
    from datasets import Dataset

    from hf_select.pool.view import PoolView

SPECIFIC = 20
"""Letters that a question must have to be listed without its picture."""

FEW = 3
"""Most pictures that a question is asked of before it is a template."""


@dataclass(frozen=True)
class _Asked:
    """Distinct normalised questions, each with the rows (documents) that ask it and the pictures it is asked of."""

    by: dict[str, list[int]]
    pictures: dict[str, set[str]]


def overlap(
    pool: Dataset,
    documents: Iterable[Document],
    *,
    view: PoolView | None = None,
    cache_dir: str | Path | None = None,
    num_proc: int | None = None,
) -> OverlapReport:
    """Compare a pool with benchmark documents.

    The pool's pictures are hashed and its questions read by scorers (`ImageHash`, `QuestionText`), so that a killed
    call resumes and a second one, with other benchmarks too, reads no picture. The rule is that of `compare`.

    Args:
        pool: The pool.
        documents: The benchmarks' documents, see `documents_of`.
        view: How the pool's rows are read.
        cache_dir: Where the pool's hashes are kept, as in `hf_select.score`.
        num_proc: Processes that share the pool.

    Cost: decoding every picture of both sides once, each.
    """
    from hf_select.scoring.image_hash import ImageHash
    from hf_select.scoring.question_text import QuestionText
    from hf_select.scoring.run import score_columns

    hashed = hash_documents(documents)
    facts = score_columns(pool, ImageHash(), QuestionText(), view=view, cache_dir=cache_dir, num_proc=num_proc)
    return compare(facts.with_format("arrow")[:], hashed)


def compare(facts: pa.Table, documents: pa.Table, *, near: int = NEAR, contained: float = CONTAINED) -> OverlapReport:
    """Compare what is known of a pool's rows with benchmark documents; looks at no picture.

    A pair is listed where a row has a picture of the document: the same file, else the same pixels, else a perceptual
    hash at most `near` bits away with the same colours; with it stands whether the row asks the document's question
    too. A question alone is listed too, where it says something: at least `SPECIFIC` letters, asked of at most
    `FEW` pictures by the pool and by the benchmark. What either asks of more ("what is the title of the chart?") is a
    template, and counted.

    A pair leaks where the picture is shared, or where neither side has a picture and the question is shared.

    Args:
        facts: Columns of `RowFacts`, `ImageHash` and `QuestionText`, one row a pool row.
        documents: As `hash_documents` gives them.
        near: Most bits of two perceptual hashes that differ, 0 to 33.
        contained: Share of the document's question that a near question holds.

    Cost: no n x m: digests by dictionary, hashes and 5-grams by index.
    """
    addresses = unique_keys(facts[ROW_KEY].to_pylist())
    files = [facts["image_files"].to_pylist(), documents["image_files"].to_pylist()]
    questions = [[normalised(text) for text in texts or ()] for texts in facts["question_texts"].to_pylist()]
    asked = [normalised(text) for text in documents["question"].to_pylist()]
    found = {
        pair: [kind, distance, *_question_of(questions[pair[0]], asked[pair[1]], contained)]
        for pair, (kind, distance) in _pictures(facts, documents, near).items()
    }
    templates = _questions_alone(found, _asked(questions, files[0]), _asked([[q] for q in asked], files[1]), contained)
    unread = [facts["image_hash_status"].to_pylist(), documents["status"].to_pylist()]
    return OverlapReport(
        pairs=_table(found, addresses, files, documents),
        addresses=tuple(addresses),
        documents=Counter(documents["task"].to_pylist()),
        unread_rows=_counted(unread[0]),
        unread_documents=_counted(unread[1]),
        templates=templates,
        near=near,
        contained=contained,
    )


def _pictures(facts: pa.Table, documents: pa.Table, near: int) -> dict[tuple[int, int], tuple[str, int]]:
    """(row, document) -> the strongest kind of shared picture, and its distance."""
    found: dict[tuple[int, int], tuple[str, int]] = {}
    for kind, column in (("file", "image_files"), ("pixels", "image_pixels")):
        here, there = _holders(facts, column), _holders(documents, column)
        for digest in here.keys() & there.keys():
            for row in here[digest]:
                for document in there[digest]:
                    found.setdefault((row, document), (kind, 0))
    here, there = _looks(facts), _looks(documents)
    sides = list(here), list(there)
    left, right, distance = near_pairs([shape for shape, _ in sides[0]], [shape for shape, _ in sides[1]], near)
    colours = [np.frombuffer(b"".join(c for _, c in side), dtype=np.uint8).reshape(len(side), 192) for side in sides]
    same = colour_difference(colours[0][left], colours[1][right]) <= SAME_COLOURS
    close = zip(distance[same].tolist(), left[same].tolist(), right[same].tolist(), strict=True)
    for bits, mine, other in sorted(close):
        for row in here[sides[0][mine]]:
            for document in there[sides[1][other]]:
                found.setdefault((row, document), ("near", bits))
    return found


def _holders(table: pa.Table, column: str) -> dict[str, list[int]]:
    """Digest -> the rows that have such a picture."""
    return _places(table[column].to_pylist())


def _looks(table: pa.Table) -> dict[tuple[str, bytes], list[int]]:
    """(shape, colours) -> the rows that have such a picture; plain pictures are left out."""
    lists = zip(table["image_shapes"].to_pylist(), table["image_colours"].to_pylist(), strict=True)
    looks = ((zip(shapes, colours, strict=True) if shapes else ()) for shapes, colours in lists)
    return _places([[look for look in row if look[0] is not None] for row in looks])


def _places(cells: Iterable[Iterable[Any] | None]) -> dict[Any, list[int]]:
    """Value -> positions of the lists that hold it, ascending, each once."""
    held: dict[Any, dict[int, None]] = {}
    for place, values in enumerate(cells):
        for value in values or ():
            held.setdefault(value, {})[place] = None
    return {value: list(places) for value, places in held.items()}


def _asked(questions: list[list[str]], files: list[list[str] | None]) -> _Asked:
    by = _places([[text for text in texts if text] for texts in questions])
    return _Asked(by, {text: {" ".join(files[place] or ()) for place in places} for text, places in by.items()})


def _questions_alone(found: dict[tuple[int, int], list], pool: _Asked, benchmark: _Asked, contained: float) -> int:
    """Add the pairs that share a telling question; return how many pairs of texts are templates."""
    texts = [text for text in benchmark.by if len(text) >= SPECIFIC]
    index = QuestionIndex(texts, contained)
    held: dict[int, list[tuple[str, float]]] = {}
    for text in pool.by:
        for place, share in index.find(text):
            held.setdefault(place, []).append((text, share))
    templates = 0
    for place, matches in held.items():
        question = texts[place]
        shown = set().union(*(pool.pictures[text] for text, _ in matches))
        if max(len(shown), len(benchmark.pictures[question])) > FEW:
            templates += len(matches)
            continue
        for text, share in matches:
            entry = [None, None, "same" if text == question else "near", share]
            for row in pool.by[text]:
                for document in benchmark.by[question]:
                    found.setdefault((row, document), entry)
    return templates


def _question_of(questions: list[str], asked: str, contained: float) -> tuple[str | None, float | None]:
    if not asked:
        return None, None
    if asked in questions:
        return "same", 1.0
    share = max((containment(asked, question) for question in questions), default=0.0)
    return ("near", share) if share >= contained else (None, None)


def _table(
    found: dict[tuple[int, int], list], addresses: list[str], files: list[list], documents: pa.Table
) -> pa.Table:
    tasks, doc_ids = documents["task"].to_pylist(), documents["doc_id"].to_pylist()
    rows = []
    for (row, document), (kind, distance, question, share) in found.items():
        textual = files[0][row] == [] and files[1][document] == []
        rows.append(
            {
                "key": addresses[row],
                "row": row,
                "task": tasks[document],
                "doc_id": doc_ids[document],
                "picture": kind,
                "distance": distance,
                "question": question,
                "containment": share,
                "leaks": kind is not None or textual,
            }
        )
    rows.sort(key=lambda pair: (pair["task"], pair["doc_id"], pair["row"]))
    return pa.Table.from_pylist(rows, schema=PAIRS)


def _counted(statuses: list[str]) -> dict[str, int]:
    return dict(sorted(Counter(status for status in statuses if status != OK).items()))
