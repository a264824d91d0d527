"""Records of JSON files one by one: an array of objects, or one object a line; nothing is guessed or skipped."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from hf_select.errors import UsageError

_CHUNK = 1 << 20
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_BLANKS = re.compile(r"[ \t\r\n]*")
_decoder = json.JSONDecoder()


def records(path: Path) -> Iterator[tuple[dict[str, Any], int, bool]]:
    """Read a file's records in order.

    Yields:
        The record, the length of its text in characters, and whether it may hold lone surrogates (which Arrow refuses).

    Raises:
        UsageError: The file isn't UTF-8, or something in it isn't a JSON object; names file and line.

    Memory: one record, or one MiB of an array's text.
    """
    start = _first_sign(path)
    if start == "[":
        with _text(path) as file:
            yield from _Array(path, file)
    elif start:
        yield from _lines(path)


def _text(path: Path) -> TextIO:
    return open(path, encoding="utf-8-sig", newline="\n")


def _first_sign(path: Path) -> str:
    with open(path, "rb") as file:
        piece = file.read(4096).removeprefix(codecs.BOM_UTF8)
        while piece and not piece.strip():
            piece = file.read(4096)
    return piece.strip()[:1].decode("latin-1")


def _lines(path: Path) -> Iterator[tuple[dict[str, Any], int, bool]]:
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            if number == 1:
                line = line.removeprefix(codecs.BOM_UTF8)
            if not line.strip():
                continue
            try:
                text = line.decode("utf-8")
                record = json.loads(text)
            except (ValueError, RecursionError) as error:
                raise _broken(path, number, error) from error
            if not isinstance(record, dict):
                raise _no_object(path, number, record)
            yield record, len(text), _SURROGATE.search(text) is not None


class _Array:
    """Walks over the text of a JSON array, holding one MiB of it (or one record, if that is longer)."""

    def __init__(self, path: Path, file: TextIO) -> None:
        self._path = path
        self._file = file
        self._text = ""
        self._at = 0
        self._line = 1

    def __iter__(self) -> Iterator[tuple[dict[str, Any], int, bool]]:
        self._take("[")
        following = self._sign()
        while following != "]":
            start, record = self._record()
            if not isinstance(record, dict):
                raise _no_object(self._path, self._place(), record)
            yield record, self._at - start, _SURROGATE.search(self._text, start, self._at) is not None
            following = self._sign()
            if following != "]":
                self._take(",")
        self._take("]")
        if self._sign():
            raise self._broken(ValueError("there is text after the array"))

    def _record(self) -> tuple[int, Any]:
        self._sign()
        while True:
            try:
                record, end = _decoder.raw_decode(self._text, self._at)
            except (ValueError, RecursionError) as error:
                if not self._more():
                    raise self._broken(error) from error
                continue
            start, self._at = self._at, end
            return start, record

    def _take(self, sign: str) -> None:
        if self._sign() != sign:
            raise self._broken(ValueError(f"{sign!r} was expected here"))
        self._at += 1

    def _sign(self) -> str:
        while True:
            self._at = _BLANKS.match(self._text, self._at).end()
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def _more(self) -> bool:
        try:
            piece = self._file.read(max(_CHUNK, len(self._text) - self._at))
        except UnicodeDecodeError as error:
            raise self._broken(error) from error
        self._line += self._text.count("\n", 0, self._at)
        self._text, self._at = self._text[self._at :] + piece, 0
        return bool(piece)

    def _place(self) -> int:
        return self._line + self._text.count("\n", 0, self._at)

    def _broken(self, error: Exception) -> UsageError:
        return _broken(self._path, self._place(), error)


def _no_object(path: Path, line: int, record: Any) -> UsageError:
    return UsageError(f"{path} line {line} holds a JSON {type(record).__name__}, but a record has to be an object.")


def _broken(path: Path, line: int, error: Exception) -> UsageError:
    if isinstance(error, UnicodeDecodeError):
        return UsageError(f"{path} line {line} isn't UTF-8 text: {error.reason}; give JSON or JSONL in UTF-8.")
    detail = " ".join(str(error).split())[:160]
    return UsageError(f"{path} line {line} isn't valid JSON: {detail}. Mend or remove that record; none was skipped.")
