"""Rows in, one vector a row out: pictures decoded in threads ahead of the forward, each distinct one once."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from hf_select.embedding.batches import Batches
from hf_select.embedding.vectors import Refused, VectorMemo, finished
from hf_select.embedding.vision import PROCESS_ERRORS, VisionEncoder
from hf_select.pool.images import ImageProblem, RowImage
from hf_select.pool.pixels import quoted
from hf_select.pool.row import OK, Row
from hf_select.scoring.ahead import ahead
from hf_select.scoring.model import first_line

_THREADS = 8
_NO_IMAGE = Refused("no_image", "the row has no image")

Known = dict[str, np.ndarray | Refused]


class ImageEngine:
    """Embeds the pictures of rows.

    Pictures are known by the digest of their bytes. A few threads decode and resize ahead of the forward; a forward
    takes up to `most` pictures (or tiles of pictures) of one shape.

    Args:
        encoder: The encoder.
        normalize: Whether vectors get unit length.
        most: Most pictures or tiles of a forward.
    """

    def __init__(self, encoder: VisionEncoder, normalize: bool, most: int) -> None:
        self.encoder = encoder
        self.normalize = normalize
        self._batches: Batches[np.ndarray] = Batches(lambda views: encoder.vectors(np.stack(views)), most)
        self._memo = VectorMemo(encoder.dim)

    def embed(self, rows: Sequence[Row]) -> list[np.ndarray | Refused]:
        """Return one vector (d,) float32 or a refusal a row, in order."""
        images = {image.digest: image for row in rows if row.status == OK for image in row.images}
        known: Known = dict(self._memo.known(images))
        todo = {digest: image for digest, image in images.items() if digest not in known}
        if todo:
            known |= self._of_images(todo)
        return [self._of_row(row, known) for row in rows]

    def _of_row(self, row: Row, known: Known) -> np.ndarray | Refused:
        if row.status != OK:
            return Refused(row.status, row.reason)
        if not row.images:
            return _NO_IMAGE
        vectors = []
        for image in row.images:
            vector = known[image.digest]
            if isinstance(vector, Refused):
                return vector
            vectors.append(vector)
        if len(vectors) == 1:
            return vectors[0]
        return finished(_mean(vectors), self.normalize, f"the row's {len(vectors)} images together")

    def _of_images(self, images: Mapping[str, RowImage]) -> Known:
        known: Known = {}
        parts: dict[str, list[np.ndarray | Refused]] = defaultdict(list)
        waiting: dict[tuple[int, ...], list[tuple[str, np.ndarray]]] = defaultdict(list)
        with self.encoder.evaluating():
            for digest, views in self._prepared(images):
                if isinstance(views, Refused):
                    known[digest] = views
                    continue
                same = waiting[views.shape[1:]]
                same.extend((digest, view) for view in views)
                while len(same) >= self._batches.most:
                    self._run(same[: self._batches.most], parts)
                    del same[: self._batches.most]
            for rest in waiting.values():
                self._run(rest, parts)
        for digest, vectors in parts.items():
            known[digest] = self._of_views(vectors, quoted(images[digest].name))
            if not isinstance(known[digest], Refused):
                self._memo.keep(digest, known[digest])
        return known

    def _prepared(self, images: Mapping[str, RowImage]) -> Iterator[tuple[str, np.ndarray | Refused]]:
        threads = min(_THREADS, os.cpu_count() or 1)
        with ThreadPoolExecutor(threads) as pool:
            yield from ahead(pool, self._prepare, images.items(), max(2 * threads, 2 * self._batches.most))

    def _prepare(self, item: tuple[str, RowImage]) -> tuple[str, np.ndarray | Refused]:
        digest, image = item
        try:
            return digest, self.encoder.process(image.open())
        except ImageProblem as problem:
            return digest, Refused(problem.status, problem.reason)
        except PROCESS_ERRORS as error:
            reason = f"the image processor refuses image {quoted(image.name)}: {first_line(error)}"
            return digest, Refused("image_unprocessable", reason)

    def _run(self, items: Sequence[tuple[str, np.ndarray]], parts: dict[str, list[np.ndarray | Refused]]) -> None:
        vectors: Sequence[np.ndarray | Refused]
        try:
            vectors = self._batches.run([view for _, view in items])
        except ValueError as error:
            shape = " x ".join(map(str, items[0][1].shape))
            reason = f"the encoder refuses the shape {shape} that the image processor gives: {first_line(error)}"
            vectors = [Refused("image_unprocessable", reason)] * len(items)
        for (digest, _), vector in zip(items, vectors, strict=True):
            parts[digest].append(vector)

    def _of_views(self, vectors: Sequence[np.ndarray | Refused], name: str) -> np.ndarray | Refused:
        refused = next((vector for vector in vectors if isinstance(vector, Refused)), None)
        if refused is not None:
            return refused
        return finished(vectors[0] if len(vectors) == 1 else _mean(vectors), self.normalize, f"image {name}")


def _mean(vectors: Sequence[np.ndarray]) -> np.ndarray:
    return np.mean(vectors, axis=0, dtype=np.float64).astype(np.float32)
