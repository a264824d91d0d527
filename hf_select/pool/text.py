"""Image placeholders inside texts: where they stand, and what is left of the text without them."""

from __future__ import annotations

import re

from hf_select.pool.row import IMAGE, Part

PLACEHOLDERS = ("<image>", "<|image|>", "<__dj__image>")
"""What public pools write where an image belongs."""


def placeholder_of(texts: list[str]) -> str | None:
    """The placeholder a row uses: the first of `PLACEHOLDERS` that occurs in any of its user texts."""
    return next((mark for mark in PLACEHOLDERS if any(mark in text for text in texts)), None)


def split(text: str, placeholder: str) -> tuple[Part, ...]:
    """Cut a text at its placeholders.

    Each placeholder goes together with one line break: the one after it, else (at the end of the text) the one before.
    Nothing else of the text changes, blanks included.
    """
    parts: list[Part] = []
    pieces = re.split(re.escape(placeholder) + r"(?:\r?\n)?", text)
    for at, piece in enumerate(pieces):
        if at:
            parts.append(IMAGE)
        if at + 1 == len(pieces) - 1 and pieces[-1] == "" and not text.endswith("\n"):
            piece = re.sub(r"\r?\n\Z", "", piece)
        if piece:
            parts.append(Part(piece))
    return tuple(parts)


def stands_alone(text: str, placeholder: str) -> bool:
    """Whether a placeholder opens the text or has a line of its own: then it marks a place, and is no word."""
    return re.search(rf"\A\s*{re.escape(placeholder)}|^\s*{re.escape(placeholder)}\s*$", text, re.M) is not None
