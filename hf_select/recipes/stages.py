"""The record of a staged run: what is done, what is under way, and what each stage was asked for.

A run is a folder. Every stage writes one small JSON file with the identity of its inputs; a stage whose record says
"done" for the same identity is reused, everything else is computed again from what the stage itself left on disk. So
a killed run goes on where it was, and a finished one answers at once.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from hf_select.errors import HFSelectError, UsageError
from hf_select.files import write_atomically

State = Literal["running", "done", "failed", "interrupted"]


@dataclass(frozen=True)
class StageRecord:
    """What is known about one stage of a run.

    Attributes:
        name: The stage's name, also its file's name.
        state: "running" (also after a kill), "done", "failed" or "interrupted".
        identity: 16 hex digits over everything the stage's result depends on.
        summary: JSON-able facts the stage reports (counts, paths inside the run folder, seconds).
        seconds: Wall time of the computation that gave the result; 0 while running.
        started: Unix time of the last start.
        message: The error's sentence for a failed stage.
        reused: Whether this call found the stage done (not stored).
    """

    name: str
    state: State
    identity: str
    summary: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    started: float = 0.0
    message: str = ""
    reused: bool = field(default=False, compare=False)


def digest(inputs: Mapping[str, Any]) -> str:
    """Return 16 hex digits over JSON-able `inputs`, the same in every process."""
    blob = json.dumps(inputs, sort_keys=True, ensure_ascii=False)
    return hashlib.blake2b(blob.encode(), digest_size=8).hexdigest()


class RunFolder:
    """A folder that holds the stages of one run.

    Args:
        path: The folder; made when the first stage starts.
        note: Called with one sentence when a stage starts, ends or is reused.
    """

    def __init__(self, path: str | Path, note: Callable[[str], None] = lambda text: None) -> None:
        self.path = Path(path)
        self._note = note

    def stage(self, name: str, inputs: Mapping[str, Any], work: Callable[[], dict[str, Any]]) -> StageRecord:
        """Return the record of stage `name`, doing `work` unless it is already done for the same `inputs`.

        Args:
            name: The stage's name, such as "score".
            inputs: Everything the result depends on, JSON-able.
            work: Does the stage and returns its summary; must leave its own partial results resumable.
        """
        identity = digest(inputs)
        known = self.record(name)
        if known is not None and known.state == "done" and known.identity == identity:
            self._note(f"{name}: done before, reused")
            return StageRecord(**{**asdict(known), "reused": True})
        started = time.time()
        self._write(StageRecord(name, "running", identity, started=started))
        self._note(f"{name}: started")
        try:
            summary = work()
        except KeyboardInterrupt:
            self._write(StageRecord(name, "interrupted", identity, started=started))
            raise
        except HFSelectError as error:
            self._write(StageRecord(name, "failed", identity, started=started, message=str(error)))
            raise
        record = StageRecord(name, "done", identity, summary, round(time.time() - started, 3), started)
        self._write(record)
        self._note(f"{name}: done in {record.seconds:.1f} s")
        return record

    def record(self, name: str) -> StageRecord | None:
        """Return the stored record of stage `name`, or None if the stage never started."""
        file = self._file(name)
        if not file.is_file():
            return None
        try:
            return StageRecord(**json.loads(file.read_text("utf-8")))
        except (ValueError, TypeError) as error:
            raise HFSelectError(
                f"{file} is not a stage record ({error}): remove it to compute the stage again."
            ) from error

    def records(self) -> list[StageRecord]:
        """Return the records of all stages in the order in which they first started."""
        names = [file.stem for file in (self.path / "stages").glob("*.json")]
        known = [record for name in names if (record := self.record(name)) is not None]
        return sorted(known, key=lambda record: (record.started, record.name))

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Hold the folder for this process; a second process on the same folder is told so at once."""
        import fcntl

        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / "run.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UsageError(
                    f"another process is working in {self.path}: wait for it, or choose another --out."
                ) from None
            yield

    def is_claimed(self) -> bool:
        """Whether a process is working in the folder now."""
        if not (self.path / "run.lock").is_file():
            return False
        try:
            with self.claimed():
                return False
        except UsageError:
            return True

    def _file(self, name: str) -> Path:
        return self.path / "stages" / f"{name}.json"

    def _write(self, record: StageRecord) -> None:
        stored = asdict(record)
        del stored["reused"]
        write_atomically(self._file(record.name), json.dumps(stored, indent=1, ensure_ascii=False))
