"""Where a command's words go: data to stdout in one of three forms, all else to stderr.

Neither holds a token, and neither holds control characters: names and reasons come from data, and a terminal would
obey them. JSON keeps them as escapes.
"""

from __future__ import annotations

import json
import math
import numbers
import os
import re
import sys
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, TextIO

from hf_select.text import plain_lines

FORMATS = ("human", "json", "quiet")

_TOKEN = re.compile(r"\b(hf_|api_org_)[A-Za-z0-9]{16,}")
_BEARER = re.compile(r"(?i)(bearer\s+)[\w.~+/=-]{8,}")
_CONTROLS = re.compile("[\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_USERINFO = re.compile(r"(\w+://)[^/\s@]+@")


class OutputClosed(Exception):  # noqa: N818 - says what happened, isn't a fault
    """Whoever read stdout has gone, as `hf-select ls | head -1` does."""


def scrub(text: str) -> str:
    """Return `text` with everything that looks like a token or a password in a URL replaced by stars."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        value = os.environ.get(name, "")
        if len(value) >= 8:
            text = text.replace(value, "***")
    text = _TOKEN.sub(r"\1***", text)
    text = _BEARER.sub(r"\1***", text)
    return _USERINFO.sub(r"\1***@", text)


class Output:
    """What a command's `run` writes with.

    Attributes:
        format: "human", "json" or "quiet".
        dry_run: Whether the command should say what it would do and change nothing.
    """

    def __init__(
        self,
        format: str = "human",
        *,
        dry_run: bool = False,
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
    ) -> None:
        self.format = format
        self.dry_run = dry_run
        self._stdout = stdout
        self._stderr = stderr

    def result(self, *, human: str, data: Any, quiet: str = "") -> None:
        """Write the command's result to stdout, once, in the form that was asked for.

        Args:
            human: For a reader.
            data: For `--format json`: dicts, lists, texts, numbers (numpy's too), paths. NaN and infinity become null.
            quiet: For `--format quiet`: bare values, one a line, such as a path; nothing is written if empty.
        """
        text = {"human": human, "quiet": quiet}.get(self.format)
        if text is None:
            text = json.dumps(_plain(data), ensure_ascii=False, indent=2, allow_nan=False)
            text = _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
        if text:
            _write(self._stdout or sys.stdout, text)

    def note(self, text: str) -> None:
        """Write one line of progress or advice to stderr; nothing in quiet form."""
        if self.format != "quiet":
            _write(self._stderr or sys.stderr, text)

    def problem(self, text: str) -> None:
        """Write an error to stderr, in every form."""
        _write(self._stderr or sys.stderr, text)


def _write(stream: TextIO, text: str) -> None:
    encoding = stream.encoding or "utf-8"
    # A terminal without UTF-8 gets replacement marks instead of a crash in the last line of a long job.
    text = scrub(plain_lines(text)).encode(encoding, "replace").decode(encoding)
    try:
        stream.write(text if text.endswith("\n") else text + "\n")
        stream.flush()
    except BrokenPipeError as error:
        raise OutputClosed from error


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(
        f"{type(value).__name__} can't be written as JSON: turn it into dicts, lists, texts and numbers first"
    )
