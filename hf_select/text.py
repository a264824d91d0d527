"""Plain-text tables for terminals and logs."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any


def plain(text: str) -> str:
    """Return `text` on one line with control characters (ANSI sequences too) shown as `?`."""
    return "".join(" " if c in "\n\t\r" else "?" if unicodedata.category(c) in ("Cc", "Cf", "Cs") else c for c in text)


def plain_lines(text: str) -> str:
    """Return `text` with its line breaks kept and every line made `plain`."""
    return "\n".join(plain(line) for line in text.split("\n"))


def table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Align `rows` under `heads`: numbers (and texts that start like one) to the right, the rest to the left.

    Integers get thousands separators, other values are written with `str`; None is a dash.
    """
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max([len(head), *(len(row[i]) for row in cells)]) for i, head in enumerate(heads)]
    right = [bool(rows) and all(_numeric(row[i]) for row in rows) for i in range(len(heads))]

    def line(words: Sequence[str]) -> str:
        padded = (
            word.rjust(width) if to_right else word.ljust(width)
            for word, width, to_right in zip(words, widths, right, strict=True)
        )
        return "  ".join(padded).rstrip()

    return "\n".join([line(list(heads)), line(["-" * width for width in widths]), *map(line, cells)])


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return plain(str(value))


def _numeric(value: Any) -> bool:
    if value is None or isinstance(value, int | float):
        return True
    text = str(value).lstrip("+-")
    return text == "" or text[0].isdigit()
