"""A model's answers on disk, by weights, prompt and decoding: a killed run goes on, retrained weights start anew."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hf_select.evaluation.requests import Asked

FILE = "answers.jsonl"


class Answers:
    """An append-only file of answers; the journal of `Adapter.of`.

    An answer is found by a digest of the weights, the precision, the prompt (pictures and texts) and the decoding, so a
    path whose weights have changed never gets old answers. Each batch is on the disk before the next one is asked; a
    line that a kill tore is passed over.

    Args:
        folder: Holds `answers.jsonl`.
        model: What identifies the model: its weights and precision.
    """

    def __init__(self, folder: Path, model: Mapping[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / FILE
        self._model = dict(model)
        self._known = dict(self._read())
        self.prompts: dict[tuple[str, int], str] = {}
        self.computed = self.reused = 0

    def find(self, asked: Asked) -> str | None:
        """Return the answer that was kept, or None."""
        self.prompts[asked.task, asked.doc_id] = "\n".join(message.text for message in asked.row.messages)
        answer = self._known.get(self._key(asked))
        self.reused += answer is not None
        return answer

    def keep(self, asked: Sequence[Asked], answers: Sequence[str]) -> None:
        """Keep the answers of one batch."""
        lines = []
        for one, answer in zip(asked, answers, strict=True):
            key = self._key(one)
            self._known[key] = answer
            lines.append(json.dumps({"key": key, "task": one.task, "doc_id": one.doc_id, "answer": answer}))
        with self._file.open("ab") as file:
            # A torn line of a killed run must not swallow this one.
            file.write(("\n" + "\n".join(lines) + "\n").encode())
            file.flush()
            os.fsync(file.fileno())
        self.computed += len(lines)

    def _key(self, asked: Asked) -> str:
        said = {"model": self._model, "prompt": asked.row.key, "decoding": asdict(asked.decoding)}
        blob = json.dumps(said, sort_keys=True, ensure_ascii=True)
        return hashlib.blake2b(blob.encode(), digest_size=16).hexdigest()

    def _read(self) -> list[tuple[str, str]]:
        found = []
        for line in self._file.read_bytes().split(b"\n") if self._file.is_file() else []:
            try:
                entry = json.loads(line)
                found.append((entry["key"], str(entry["answer"])))
            except (ValueError, KeyError, TypeError):
                continue
        return found
