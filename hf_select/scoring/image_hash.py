"""What pictures are recognised by: a digest of the file, one of the pixels, and a perceptual hash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from hf_select.pool.images import ImageProblem
from hf_select.pool.perceptual import PictureHash, picture_hash
from hf_select.pool.row import OK, Row
from hf_select.scoring.scorer import Scorer


@dataclass(frozen=True, kw_only=True)
class ImageHash(Scorer):
    """Digests and perceptual hashes of a row's pictures, to find the same picture elsewhere.

    Columns, each list as long as the row has pictures; null where one of them can't be used:
        image_files: 32 hex digits over each file's bytes (list<string>).
        image_pixels: 32 hex digits over each picture's size and RGB values (list<string>).
        image_shapes: 64 hex digits of each `perceptual_hash`, null for a plain picture (list<string>).
        image_colours: Each picture as 8 x 8 RGB values, 192 bytes (list<binary>).
        image_hash_status: "ok", or why there is none (string).
        image_hash_reason: One sentence for every status but "ok", else "" (string).

    Cost: decodes every picture once, about 3 ms a megapixel on top.
    """

    scoring_version: ClassVar[int] = 1

    @property
    def adds(self) -> Mapping[str, str]:
        """The six columns and their types."""
        return {
            "image_files": "list<string>",
            "image_pixels": "list<string>",
            "image_shapes": "list<string>",
            "image_colours": "list<binary>",
            "image_hash_status": "string",
            "image_hash_reason": "string",
        }

    def score(self, rows: Sequence[Row]) -> dict[str, list]:
        """Hash the pictures of each row; a picture of several rows is decoded once a batch."""
        known: dict[str, PictureHash] = {}
        cells = [self._cells(row, known) for row in rows]
        return {name: [cell[at] for cell in cells] for at, name in enumerate(self.adds)}

    def _cells(self, row: Row, known: dict[str, PictureHash]) -> tuple[list | None, ...]:
        if row.status != OK:
            return None, None, None, None, row.status, row.reason
        found = []
        for image in row.images:
            try:
                if image.digest not in known:
                    known[image.digest] = picture_hash(image)
            except ImageProblem as problem:
                return None, None, None, None, problem.status, problem.reason
            found.append(known[image.digest])
        return *hash_lists(found), OK, ""


def hash_lists(hashes: Sequence[PictureHash]) -> tuple[list, list, list, list]:
    """Return files, pixels, shapes and colours of pictures, each as a list."""
    return [h.file for h in hashes], [h.pixels for h in hashes], [h.shape for h in hashes], [h.colours for h in hashes]
