"""Fine-tuning a vision-language model on the rows of a pool: seed, reference and final models alike."""

from __future__ import annotations

import logging
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_select.errors import UsageError
from hf_select.pool.view import PoolView
from hf_select.training.config import FitConfig
from hf_select.training.record import CHECKPOINTS, FitResult, claim

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = ["FitConfig", "FitResult", "fit"]

logger = logging.getLogger(__name__)

IDENTITY_VERSION = 1
"""Raised by hand when the same inputs give other weights."""


def fit(
    model: str,
    pool: Dataset,
    out: str | Path,
    *,
    config: FitConfig | None = None,
    view: PoolView | None = None,
    revision: str | None = None,
    device: str | None = None,
    pool_name: str | None = None,
    pool_revision: str | None = None,
    license: str | None = None,
) -> FitResult:
    """Fine-tune `model` on `pool` by transformers' Trainer and save a checkpoint with its card to `out`.

    Rows are read through `view` and encoded by `ChatEncoder`, so the loss is on exactly the tokens that `AnswerLoss`
    scores: the sum of their negative log-likelihoods over an optimizer step, divided by their number in that step,
    however the step is split into forward passes. Rows that can't be used are skipped and counted by status.

    Killed at any moment, the same call goes on from the last checkpoint (every `config.save_every` steps) with the
    rows it would have seen. Finished, the same call returns at once without importing torch. The folder's `fit.json`
    holds what it was made for: the weights behind `model`, the pool's fingerprint, the view and the settings. Two
    runs with the same seed on a CPU give equal weights; on a GPU they may differ in the last digits.

    Cost: one reading of every picture before the first step, one per epoch; memory as any training of the model:
    weights that learn are held in float32 beside two AdamW moments (16 bytes each with the gradient), frozen ones in
    `config.dtype`. One process, one device.

    Args:
        model: Hub id or local folder of a vision-language checkpoint with a chat template.
        pool: Rows in any public schema.
        out: Folder of the result; absent, empty, or of this very fine-tune.
        config: Settings; `FitConfig()` without.
        view: How rows are read; found by the columns without.
        revision: Branch, tag or commit of `model`.
        device: "cpu", "cuda" or "mps"; None takes the best there is.
        pool_name: What the card calls the pool; a Hub id is linked.
        pool_revision: The pool's commit, for the card.
        license: Licence id for the card.

    Returns:
        What was done; also for a folder that was finished before.

    Raises:
        UsageError: `out` holds something else, or an argument can't be used.
        HFSelectError: No row can be trained on, or the loss or a weight became non-finite.
        MissingExtra: torch, transformers, accelerate or peft is needed and not installed.
    """
    from hf_select.scoring.weights import commit_to_load, weights_identity

    config, view, out = config or FitConfig(), view or PoolView(), Path(out)
    identity = {
        "version": IDENTITY_VERSION,
        "model": weights_identity(model, revision),
        "pool": _fingerprint(pool),
        "view": asdict(view),
        "config": config.identity(),
    }
    record = claim(out, identity)
    result = record.as_result(out)
    if result is not None:
        shutil.rmtree(out / CHECKPOINTS, ignore_errors=True)
        logger.info("%s is finished: %d steps on %d rows, nothing to do.", out, result.steps, result.rows)
        return result

    from hf_select.training.run import Names, train

    names = Names(model, commit_to_load(identity["model"]), pool_name, pool_revision, license)
    return train(record, pool, out, config=config, view=view, device=device, names=names)


def _fingerprint(pool: Any) -> str:
    from datasets import Dataset

    if not isinstance(pool, Dataset):
        raise UsageError(
            f"fit needs a datasets.Dataset and was given a {type(pool).__name__}: choose a split, and load a streamed"
            " pool with streaming=False."
        )
    return str(pool._fingerprint)
