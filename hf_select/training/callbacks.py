"""What happens beside the steps of a fine-tune: progress, the check of the loss, complete marks on checkpoints."""

from __future__ import annotations

import json
import logging
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_select.errors import HFSelectError
from hf_select.files import write_atomically
from hf_select.training.config import FitConfig

logger = logging.getLogger(__name__)

COMPLETE = "complete.json"


@dataclass(frozen=True)
class Checkpoint:
    """A complete checkpoint: its folder, its step, and the seconds of training up to it."""

    folder: Path
    step: int
    seconds: float


def last_checkpoint(folder: Path) -> Checkpoint | None:
    """Return the newest complete checkpoint in `folder`, or None."""
    marks = folder.glob(f"checkpoint-*/{COMPLETE}")
    found = [Checkpoint(mark.parent, **json.loads(mark.read_text())) for mark in marks]
    return max(found, key=lambda checkpoint: checkpoint.step, default=None)


def callbacks(config: FitConfig, before: float) -> list[Any]:
    """Return the callbacks of a run.

    Args:
        config: The settings, for messages.
        before: Seconds that earlier starts took.
    """
    from transformers import TrainerCallback

    classes = [type(base.__name__, (base, TrainerCallback), {}) for base in (Progress, FiniteLoss, Marks)]
    return [classes[0](), classes[1](config.peak_lr), classes[2](before)]


class Progress:
    """A bar on a terminal's stderr (tqdm hides itself elsewhere), and lines in the log."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start the bar, at the step of the checkpoint on a resume."""
        from tqdm import tqdm

        self.bar = tqdm(
            total=state.max_steps, initial=state.global_step, desc="fit", unit="step", file=sys.stderr, disable=None
        )

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Move the bar."""
        self.bar.update(1)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], **kwargs: Any) -> None:
        """Show and log the loss."""
        if "loss" in logs:
            self.bar.set_postfix_str(f"loss {logs['loss']:.3f}")
            logger.info("step %d of %d: loss %.4f", state.global_step, state.max_steps, logs["loss"])

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Leave the line of the bar."""
        self.bar.close()


class FiniteLoss:
    """Stops a run whose loss is no number any more, at the next log."""

    def __init__(self, lr: float) -> None:
        self.lr = lr

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], **kwargs: Any) -> None:
        """Look at the logged loss."""
        if "loss" in logs and not logs["loss"] < float("inf"):
            raise HFSelectError(
                f"the loss was no finite number any more at step {state.global_step}: lower lr (now {self.lr:g}) or set"
                " dtype to float32, and start again in a new folder."
            )


class Marks:
    """Marks a checkpoint as complete once all its files are written; none is written at the end."""

    def __init__(self, before: float) -> None:
        self.before = before

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start the clock."""
        self.started = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Save nothing after the last step: the result is saved next."""
        if state.global_step >= state.max_steps:
            control.should_save = False

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Write the mark."""
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        seconds = self.before + time.monotonic() - self.started
        write_atomically(folder / COMPLETE, json.dumps({"step": state.global_step, "seconds": round(seconds, 3)}))
