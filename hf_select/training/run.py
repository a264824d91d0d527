"""One fine-tune from loading to the saved checkpoint; what `fit` calls when there is work to do."""

from __future__ import annotations

import copy
import logging
import math
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_select.errors import HFSelectError, UsageError, require
from hf_select.training import callbacks
from hf_select.training.batches import StepBatches
from hf_select.training.collate import Passes, PoolRows, Usable, usable_rows
from hf_select.training.config import FitConfig
from hf_select.training.record import CHECKPOINTS, FitRecord, FitResult

if TYPE_CHECKING:
    import torch
    from datasets import Dataset
    from torch import nn
    from transformers import PreTrainedConfig, ProcessorMixin

    from hf_select.pool.view import PoolView

logger = logging.getLogger(__name__)

DEVICES = ("cpu", "cuda", "mps")
ROWS_FILE = "rows.json"


@dataclass(frozen=True)
class Names:
    """What a result is called: arguments of `fit` that the card quotes."""

    model: str
    revision: str | None
    pool: str | None
    pool_revision: str | None
    license: str | None


def train(
    record: FitRecord, pool: Dataset, out: Path, *, config: FitConfig, view: PoolView, device: str | None, names: Names
) -> FitResult:
    """Train, save checkpoint and card to `out`, finish the record, remove the temporary checkpoints."""
    for package in ("torch", "transformers", "accelerate"):
        require(package, "models")
    from transformers import set_seed

    from hf_select.scoring.encode import ChatEncoder
    from hf_select.scoring.model import context_window, load_vlm, resolve_dtype
    from hf_select.training.card import facts, write_card
    from hf_select.training.parts import choose_parameters, part_of_parameters

    device = _device(device)
    precision = resolve_dtype(config.dtype, device)
    stored = _stored_dtype(names.model, names.revision)
    # Everything is loaded in float32, so that weights that learn keep all the digits of the checkpoint.
    model, processor = load_vlm(names.model, names.revision, dtype="float32", device=device)
    window = context_window(model, processor.tokenizer)
    encoder = ChatEncoder(processor, min(window, config.max_length or window))
    rows = _usable(pool, view, encoder, out / CHECKPOINTS / ROWS_FILE, config.dataloader_workers)
    parts, untouched = part_of_parameters(model), copy.deepcopy(model.config)
    set_seed(config.seed)
    learner = choose_parameters(model, config)
    _set_precisions(learner, precision)
    details = facts(learner, names, device=device, precision=precision)
    dataset = PoolRows(pool, view, rows.positions)
    result = _optimize(learner, parts, dataset, rows, encoder, out, config=config, device=device, precision=precision)
    _save(learner, processor, untouched, out, config=config, stored=stored)
    record = record.finished(result, details)
    write_card(out, record, config, names)
    record.write(out)
    shutil.rmtree(out / CHECKPOINTS)
    return result


def _optimize(
    learner: nn.Module,
    parts: dict[str, str],
    dataset: PoolRows,
    rows: Usable,
    encoder: Any,
    out: Path,
    *,
    config: FitConfig,
    device: str,
    precision: str,
) -> FitResult:
    from hf_select.training.parts import parameter_groups
    from hf_select.training.trainer import arguments, fit_trainer

    batches = StepBatches(rows.lengths, rows.with_image, config.batch_size, config.accumulation, config.seed)
    steps = config.max_steps or math.ceil(config.epochs * math.ceil(len(batches) / config.accumulation))
    last = callbacks.last_checkpoint(out / CHECKPOINTS)
    before = last.seconds if last else 0.0
    trainer = fit_trainer()(
        model=learner,
        args=arguments(config, out / CHECKPOINTS, cpu=device == "cpu", precision=precision, total_steps=steps),
        train_dataset=dataset,
        data_collator=Passes(encoder),
        batches=batches,
        groups=parameter_groups(learner, parts, config),
        callbacks=callbacks.callbacks(config, before),
    )
    trainer.remove_callback(_printer())
    if last:
        logger.info("going on from step %d of %d", last.step, steps)
    started = time.monotonic()
    trainer.train(resume_from_checkpoint=str(last.folder) if last else None)
    return FitResult(
        path=out,
        steps=trainer.state.global_step,
        rows=len(rows.positions),
        skipped=rows.skipped,
        loss=_last_loss(trainer.state.log_history),
        seconds=round(before + time.monotonic() - started, 3),
        resumed_from=last.step if last else None,
    )


def _usable(pool: Dataset, view: PoolView, encoder: Any, file: Path, workers: int) -> Usable:
    if file.is_file():
        return Usable.load(file)
    rows = usable_rows(pool, view, encoder, workers)
    rows.save(file)
    return rows


def _save(
    learner: nn.Module,
    processor: ProcessorMixin,
    untouched: PreTrainedConfig,
    out: Path,
    *,
    config: FitConfig,
    stored: torch.dtype,
) -> None:
    """Save weights in the dtype of the checkpoint they came from, adapters merged in float32 unless they are kept.

    The model's configuration is put back as it was loaded: the Trainer writes `use_cache=False` into it. Saving the
    processor also saves tokenizer, image settings and chat template; saving the model, the generation settings.
    """
    import torch

    if config.lora_rank and not config.keep_adapter:
        learner = learner.to(torch.float32).merge_and_unload()
    if not config.keep_adapter:
        learner = learner.to(stored)
        learner.config = untouched
    _check_finite(learner, config)
    learner.save_pretrained(out)
    processor.save_pretrained(out)


def _check_finite(learner: nn.Module, config: FitConfig) -> None:
    """Refuse to save broken weights: the loss is looked at when it is logged, and the last steps may come after that.

    Raises:
        HFSelectError: A weight is infinite or no number.
    """
    import torch

    broken = next((name for name, p in learner.named_parameters() if not torch.isfinite(p).all()), None)
    if broken is not None:
        raise HFSelectError(
            f"the weights {broken} hold values that are no finite numbers: lower lr (now {config.peak_lr:g}) or set"
            " dtype to float32, and start again in a new folder."
        )


def _set_precisions(learner: nn.Module, precision: str) -> None:
    """Keep what learns in float32 and hold the rest in the dtype of the computation, which halves its memory."""
    import torch

    for parameter in learner.parameters():
        parameter.data = parameter.data.to(torch.float32 if parameter.requires_grad else getattr(torch, precision))


def _stored_dtype(model: str, revision: str | None) -> torch.dtype:
    import torch
    from transformers import AutoConfig

    from hf_select.scoring.model import base_and_adapter

    base, _ = base_and_adapter(model, None)
    return AutoConfig.from_pretrained(base, revision=revision).dtype or torch.float32


def _device(wanted: str | None) -> str:
    from hf_select.scoring.model import best_device

    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError("fit runs in one process on one device: start it without torchrun or accelerate launch.")
    if wanted is None:
        return best_device()
    if wanted == "cuda:0":
        return "cuda"
    if wanted not in DEVICES:
        raise UsageError(
            f"fit can't run on device {wanted!r}: give {', '.join(DEVICES)}, and choose among several GPUs with"
            " CUDA_VISIBLE_DEVICES."
        )
    return wanted


def _last_loss(log: list[dict[str, Any]]) -> float:
    """Mean of the logged losses of the last tenth of the steps."""
    logged = [(entry["step"], entry["loss"]) for entry in log if "loss" in entry]
    late = [loss for step, loss in logged if step > 0.9 * logged[-1][0]]
    return sum(late) / len(late)


def _printer() -> type[Any]:
    """The callback that prints logs on stdout, which is for data."""
    from transformers import PrinterCallback

    return PrinterCallback
