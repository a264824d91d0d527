"""What a fine-tune was asked for and what came out, as `fit.json` in its folder; read and written without torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from hf_select.errors import HFSelectError, UsageError
from hf_select.files import is_part, write_atomically

RECORD = "fit.json"
CHECKPOINTS = "checkpoints"


@dataclass(frozen=True)
class FitResult:
    """A finished fine-tune.

    Attributes:
        path: The folder with the checkpoint, loadable by `from_pretrained`.
        steps: Optimizer steps.
        rows: Rows the model was tuned on.
        skipped: Rows that could not be used, by status.
        loss: Mean loss (nats per supervised token) over the last tenth of the steps.
        seconds: Wall time of training, all starts together, without loading and saving.
        resumed_from: The step the last start went on from; None for an unbroken run.
    """

    path: Path
    steps: int
    rows: int
    skipped: dict[str, int]
    loss: float
    seconds: float
    resumed_from: int | None = None


@dataclass(frozen=True)
class FitRecord:
    """The content of `fit.json`.

    Attributes:
        identity: Everything that decides the weights: model, pool fingerprint, view, settings.
        result: The numbers of `FitResult`; None while the fine-tune isn't finished.
        details: Facts for people (versions, device, parameters, pool name); never compared.
    """

    identity: dict[str, Any]
    result: dict[str, Any] | None = None
    details: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, out: Path) -> FitRecord | None:
        """Read the record of `out`; None where there is none.

        Raises:
            HFSelectError: The file isn't a record.
        """
        file = out / RECORD
        if not file.is_file():
            return None
        try:
            return cls(**json.loads(file.read_text("utf-8")))
        except (ValueError, TypeError) as error:
            raise HFSelectError(f"{file} is not a record of a fine-tune ({error}): remove the folder.") from error

    def write(self, out: Path) -> None:
        """Write the record to `out`; a reader sees the old or the new one, never a part."""
        text = json.dumps(asdict(self), indent=1, ensure_ascii=False, sort_keys=True)
        write_atomically(out / RECORD, text + "\n")

    def finished(self, result: FitResult, details: Mapping[str, Any]) -> FitRecord:
        """Return this record with its result."""
        numbers = asdict(result)
        del numbers["path"]
        return replace(self, result=numbers, details=dict(details))

    def as_result(self, out: Path) -> FitResult | None:
        """Return the result, or None while the fine-tune isn't finished."""
        return None if self.result is None else FitResult(path=out, **self.result)


def claim(out: Path, identity: dict[str, Any]) -> FitRecord:
    """Return the record of `out` for `identity`, starting one in an empty or absent folder.

    Raises:
        UsageError: The folder holds something else, or a fine-tune with another model, pool or settings.
    """
    identity = json.loads(json.dumps(identity))
    record = FitRecord.read(out)
    if record is None:
        if out.exists() and not (out.is_dir() and all(map(is_part, out.iterdir()))):
            raise UsageError(f"{out} exists and holds no fine-tune: choose another folder or empty this one.")
        record = FitRecord(identity)
        record.write(out)
    elif record.identity != identity:
        differences = "; ".join(_differences(record.identity, identity))
        raise UsageError(
            f"{out} holds another fine-tune ({differences}): choose another folder, or remove it to start anew."
        )
    return record


def _differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    found: list[str] = []
    for key in sorted(old.keys() | new.keys()):
        before, now = old.get(key), new.get(key)
        if isinstance(before, Mapping) and isinstance(now, Mapping):
            found += _differences(before, now, f"{prefix}{key}.")
        elif before != now:
            found.append(f"{prefix}{key} is {before!r} there and {now!r} now")
    return found
