"""Every answer on disk as it comes: a kill loses none that was paid for."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hf_select.annotate.annotator import Request, Turns
from hf_select.annotate.chosen import Chosen
from hf_select.pool.row import OK

FILE = "journal.jsonl"
UNPARSABLE = "unparsable"
ATTEMPTS = 2
"""How often an answer that can't be read is asked for."""


@dataclass(frozen=True)
class Entry:
    """One answer.

    Attributes:
        key: What was asked, of whom, about which pictures, see `request_key`.
        address: The row's address, for people.
        attempt: 1, or 2 for the repetition of an answer that could not be read.
        status: "ok", "refused", "empty", "unparsable", or an annotator's own ("rejected", "image_unreadable", ...).
        reason: One sentence for every status but "ok".
        turns: The instruction: (question, answer) pairs.
        text: The answer as it came.
        tokens_in: Tokens paid for on the way in.
        tokens_out: Tokens paid for on the way out.
    """

    key: str
    address: str
    attempt: int
    status: str
    reason: str
    turns: Turns
    text: str | None
    tokens_in: int
    tokens_out: int

    @property
    def is_final(self) -> bool:
        """Whether the request is not asked again."""
        return self.status not in (UNPARSABLE, "empty") or self.attempt >= ATTEMPTS


def request_key(chosen: Chosen, annotator: dict[str, Any]) -> str:
    """Return 32 hex digits over the address, the pictures' bytes, the annotator and the prompt."""
    asked = {
        "address": chosen.address,
        "images": list(chosen.images),
        "annotator": annotator,
        "prompt": chosen.prompt,
    }
    blob = json.dumps(asked, sort_keys=True, ensure_ascii=False)
    return hashlib.blake2b(blob.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


class Journal:
    """An append-only file of answers in one folder; the last one of a key counts.

    Each line is on the disk (`fsync`) before the next answer is waited for. A line that a kill tore is passed over.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE
        self.entries: dict[str, Entry] = {}
        self.tokens_in = self.tokens_out = 0
        for entry in self._read():
            self._take(entry)

    def write(self, entry: Entry) -> None:
        """Append an answer; it survives everything but the disk."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps(asdict(entry), ensure_ascii=True) + "\n"
        with self._file.open("ab") as file:
            if file.tell() and not self._ends_in_newline():
                file.write(b"\n")
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())
        self._take(entry)

    def final(self, key: str) -> Entry | None:
        """The answer of a request that is not asked again, or None."""
        entry = self.entries.get(key)
        return entry if entry is not None and entry.is_final else None

    def forget_failed(self, keys: Iterable[str]) -> None:
        """Let the requests of `keys` that came to no instruction be asked from the beginning; nothing is erased."""
        for key in keys:
            if key in self.entries and self.entries[key].status != OK:
                del self.entries[key]

    def _take(self, entry: Entry) -> None:
        self.entries[entry.key] = entry
        self.tokens_in += entry.tokens_in
        self.tokens_out += entry.tokens_out

    def _ends_in_newline(self) -> bool:
        with self._file.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) == b"\n"

    def _read(self) -> Iterator[Entry]:
        if not self._file.is_file():
            return
        with self._file.open("rb") as file:
            for line in file:
                try:
                    data = json.loads(line)
                    yield Entry(**data | {"turns": tuple((str(q), str(a)) for q, a in data["turns"])})
                except (ValueError, TypeError, KeyError):
                    continue


def entry_of(request: Request, key: str, attempt: int, status: str, reason: str = "", **rest: Any) -> Entry:
    """Make an entry; `rest` are turns, text, tokens_in, tokens_out."""
    values = {"turns": (), "text": None, "tokens_in": 0, "tokens_out": 0} | rest
    return Entry(key, request.address, attempt, status, "" if status == OK else reason, **values)
