"""What is known of a row without any model: its key, task, status and size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from hf_select.pool.row import Row
from hf_select.scoring.scorer import Scorer


@dataclass(frozen=True, kw_only=True)
class RowFacts(Scorer):
    """Columns that every later step joins on; `score` adds them by itself.

    Columns:
        row_key: Content key of the row (string, 32 hex digits); equal rows have equal keys.
        row_task: The task label (string), null where the row has none.
        row_status: "ok", or why the row can't be used (string).
        row_reason: One sentence for every status but "ok", else "" (string).
        row_images: Number of images (int32).
        row_turns: Number of answers (int32).
        row_image_key: Digest of the first image's file bytes (string), null without an image.

    Cost: reads the bytes of every image once, decodes none.
    """

    scoring_version: ClassVar[int] = 1

    @property
    def adds(self) -> dict[str, str]:
        """The seven columns and their types."""
        return {
            "row_key": "string",
            "row_task": "string",
            "row_status": "string",
            "row_reason": "string",
            "row_images": "int32",
            "row_turns": "int32",
            "row_image_key": "string",
        }

    def score(self, rows: Sequence[Row]) -> dict[str, list]:
        """Return the facts of each row; no row fails."""
        return {
            "row_key": [row.key for row in rows],
            "row_task": [row.task for row in rows],
            "row_status": [row.status for row in rows],
            "row_reason": [row.reason for row in rows],
            "row_images": [len(row.images) for row in rows],
            "row_turns": [len(row.answers) for row in rows],
            "row_image_key": [row.images[0].digest if row.images else None for row in rows],
        }
