"""Benchmark documents as pictures and questions, read from their data set without decoding a picture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from hf_select.errors import UsageError
from hf_select.pool.images import ImageProblem, RowImage
from hf_select.pool.perceptual import PictureHash, picture_hash
from hf_select.pool.row import OK
from hf_select.pool.view import exact_values
from hf_select.scoring.image_hash import hash_lists

if TYPE_CHECKING:
    from datasets import Dataset

_BATCH = 64
_PLAIN_COLUMNS = ("image", "images")
_PICTURE_ID = "imageId"


@dataclass(frozen=True)
class Document:
    """One question of a benchmark.

    Attributes:
        task: lmms-eval's name of the task.
        doc_id: Its position in the task's split, as in the report of an evaluation.
        images: Whatever `RowImage.of` takes.
        question: The question as the benchmark stores it, without the words a prompt adds.
    """

    task: str
    doc_id: int
    images: Sequence[Any]
    question: str


SCHEMA = pa.schema(
    [
        ("task", pa.string()),
        ("doc_id", pa.int64()),
        ("image_files", pa.list_(pa.string())),
        ("image_pixels", pa.list_(pa.string())),
        ("image_shapes", pa.list_(pa.string())),
        ("image_colours", pa.list_(pa.binary())),
        ("question", pa.string()),
        ("status", pa.string()),
        ("reason", pa.string()),
    ]
)
"""Documents as `hash_documents` gives them; the lists are null where a picture can't be used."""


def documents_of(dataset: Dataset, task: str, *, pictures: Dataset | None = None) -> Iterator[Document]:
    """Read the documents of one task.

    Args:
        dataset: The task's split. Pictures are its columns of the type `Image` or of lists of it, else `image` and
            `images`; the question is the column `question`.
        task: The task's name.
        pictures: A data set with the columns `id` and `image`, where the documents name their pictures by `imageId`
            (GQA).

    Raises:
        UsageError: There is no column of pictures or no question.
    """
    if "question" not in dataset.column_names:
        raise UsageError(f"the documents of {task} have no column 'question' among {', '.join(dataset.column_names)}.")
    columns = [_PICTURE_ID] if pictures is not None else _image_columns(dataset)
    if not set(columns) <= set(dataset.column_names) or not columns:
        raise UsageError(f"the documents of {task} have no column of pictures among {', '.join(dataset.column_names)}.")
    stored = {} if pictures is None else _by_id(pictures)
    doc_id = 0
    for batch in dataset.select_columns([*columns, "question"]).with_format("arrow").iter(_BATCH):
        cells = [exact_values(batch[name]) for name in columns]
        for question, *found in zip(batch["question"].to_pylist(), *cells, strict=True):
            if pictures is not None:
                found = [_stored_picture(pictures, stored, str(found[0]))]
            images = [image for cell in found for image in (cell if isinstance(cell, list) else [cell])]
            yield Document(
                task, doc_id, [i for i in images if i is not None], "" if question is None else str(question)
            )
            doc_id += 1


def hash_documents(documents: Iterable[Document]) -> pa.Table:
    """Hash the pictures of documents; a table of `SCHEMA`.

    A picture that can't be read costs its own documents, which get a status and a reason; a picture of several
    documents is decoded once. Memory: about 1 KB a document.
    """
    columns: dict[str, list] = {name: [] for name in SCHEMA.names}
    known: dict[str, PictureHash] = {}
    for document in documents:
        status, reason, found = OK, "", []
        try:
            for image in map(RowImage.of, document.images):
                if image.digest not in known:
                    known[image.digest] = picture_hash(image)
                found.append(known[image.digest])
        except ImageProblem as problem:
            status, reason, found = problem.status, problem.reason, None
        lists = (None,) * 4 if found is None else hash_lists(found)
        values = (document.task, document.doc_id, *lists, document.question, status, reason)
        for name, value in zip(SCHEMA.names, values, strict=True):
            columns[name].append(value)
    return pa.table(columns, schema=SCHEMA)


def _image_columns(dataset: Dataset) -> list[str]:
    from datasets import Image, List

    def holds_images(feature: Any) -> bool:
        return isinstance(feature, Image) or (isinstance(feature, List) and isinstance(feature.feature, Image))

    typed = [name for name, feature in dataset.features.items() if holds_images(feature)]
    return typed or [name for name in _PLAIN_COLUMNS if name in dataset.column_names]


def _by_id(pictures: Dataset) -> dict[str, int]:
    ids = pictures.select_columns(["id"]).with_format("arrow")[:]["id"].to_pylist()
    return {str(name): place for place, name in enumerate(ids)}


def _stored_picture(pictures: Dataset, places: dict[str, int], name: str) -> Any:
    if name not in places:
        return RowImage(name, fault=("image_missing", f"picture {name!r:.80} is not among the benchmark's pictures"))
    return exact_values(pictures.with_format("arrow")[places[name] : places[name] + 1]["image"])[0]
