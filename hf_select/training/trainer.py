"""transformers' Trainer with the loss, order and checkpoints that a fine-tune here needs.

Facts about transformers 5.24 that this rests on (read in its source, checked by the tests):

- The Trainer reads the forward passes of one optimizer step ahead (`get_batch_samples`), counts their supervised labels
  and hands the count to `compute_loss` as `num_items_in_batch`. It divides the returned loss by the number of passes
  unless `loss_is_scaled_for_ga` says that this is done. A model's own loss isn't used: not every class takes the count
  (its mean over a pass then depends on the accumulation, NUM-25), and it needs logits at every position.
- `remove_unused_columns` drops columns that `forward` doesn't name, so it has to be off for rows of our own.
- Label smoothing is 0 and so there is no label smoother.
- Its checkpoints of a model are of no use here: they are saved under the Hub's older tensor names and read back without
  renaming, so for LLaVA nothing is restored and only a warning says so (measured). Checkpoints here hold the
  parameters that learn, under their own names, and are read back strictly.
- A checkpoint is written file by file, `trainer_state.json` last, and old ones are removed after that; `on_save` comes
  when all is written. Only there a checkpoint is marked complete, and only marked ones are resumed from.
- A resumed epoch skips the passes that are done without reading their rows; random states are restored after the first
  new passes are read. The Trainer's own mean loss counts only the steps since the last start; its log has all.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_select.errors import HFSelectError
from hf_select.training.batches import StepBatches
from hf_select.training.config import FitConfig

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn
    from torch.utils.data import DataLoader
    from transformers import Trainer, TrainingArguments

LEARNED = "learned.safetensors"
LOGS = 50
"""How many times the loss is logged over a run."""


def answer_nll(model: nn.Module, part: dict[str, Any]) -> Tensor:
    """Return the summed negative log-likelihood (nats, float32) of the supervised tokens of one forward pass.

    Args:
        model: The model, in training mode.
        part: What `ChatEncoder.collate` gives; labels (rows, tokens) not shifted. Logits are computed where the next
            token is supervised in some row, so a long prompt or a large vocabulary costs little.
    """
    from torch.nn.functional import cross_entropy

    inputs = dict(part)
    targets = inputs.pop("labels")[:, 1:]
    positions = (targets != -100).any(0).nonzero().squeeze(1)
    logits = model(**inputs, logits_to_keep=positions, use_cache=False).logits
    return cross_entropy(
        logits.float().flatten(0, 1), targets[:, positions].flatten(), ignore_index=-100, reduction="sum"
    )


def fit_trainer() -> type[Trainer]:
    """Return the Trainer class of a fine-tune; a function because transformers' Trainer imports torch."""
    from transformers import Trainer

    return type("FitTrainer", (FitTrainerMixin, Trainer), {})


class FitTrainerMixin:
    """Loss = summed NLL of a step / supervised tokens of the step, however the step is cut into passes.

    Args:
        batches: The rows of every forward pass.
        groups: Parameter groups of AdamW.
        **kwargs: Of the Trainer.
    """

    loss_is_scaled_for_ga = True

    def __init__(self, *, batches: StepBatches, groups: list[dict[str, Any]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._batches = batches
        self._groups = groups

    def get_train_dataloader(self) -> DataLoader:
        """Read rows in the order of `batches`."""
        from torch.utils.data import DataLoader

        loader = DataLoader(
            self.train_dataset,
            batch_sampler=self._batches,
            collate_fn=self.data_collator,
            num_workers=self.args.dataloader_num_workers,
            pin_memory=self.args.dataloader_pin_memory,
        )
        return self.accelerator.prepare(loader)

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """Make AdamW over the groups, each with its own peak learning rate."""
        import torch

        if self.optimizer is None:
            self.optimizer = torch.optim.AdamW(self._groups, betas=(0.9, 0.999), eps=1e-8)
        return self.optimizer

    def get_batch_samples(self, epoch_iterator: Iterator, num_batches: int, device: Any) -> tuple[list, int]:
        """Read the passes of one step and count their supervised tokens."""
        passes = list(islice(epoch_iterator, num_batches))
        return passes, sum(one["tokens"] for one in passes)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: int | None = None,
    ) -> Tensor:
        """Return this pass's share of the step's mean loss per supervised token."""
        return sum(answer_nll(model, part) for part in inputs["parts"]) / num_items_in_batch

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Not estimated: the estimate needs one `input_ids` per pass."""
        return 0

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Save the parameters that learn, for a resume."""
        from safetensors.torch import save_file

        folder = Path(output_dir or self.args.output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        save_file({name: p.detach().cpu().contiguous() for name, p in self._learning().items()}, folder / LEARNED)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        import torch
        from safetensors.torch import load_file

        saved, learning = load_file(Path(resume_from_checkpoint) / LEARNED), self._learning()
        if saved.keys() != learning.keys():
            raise HFSelectError(f"{resume_from_checkpoint} is of another model: remove it and start again.")
        with torch.no_grad():
            for name, parameter in learning.items():
                parameter.copy_(saved[name])

    def _learning(self) -> dict[str, nn.Parameter]:
        return {name: p for name, p in self.model.named_parameters() if p.requires_grad}


def arguments(config: FitConfig, folder: Path, *, cpu: bool, precision: str, total_steps: int) -> TrainingArguments:
    """Return the Trainer's arguments for `config`: cosine schedule, no reporters, no fp16, checkpoints in `folder`."""
    from transformers import TrainingArguments

    made = TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=config.batch_size,
        gradient_accumulation_steps=config.accumulation,
        learning_rate=config.peak_lr,
        num_train_epochs=config.epochs,
        max_steps=config.max_steps or -1,
        lr_scheduler_type="cosine",
        warmup_steps=config.warmup,
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm,
        bf16=precision == "bfloat16",
        use_cpu=cpu,
        seed=config.seed,
        dataloader_num_workers=config.dataloader_workers,
        dataloader_pin_memory=not cpu,
        save_strategy="steps",
        save_steps=config.save_every,
        save_total_limit=2,
        logging_strategy="steps",
        logging_steps=max(1, total_steps // LOGS),
        logging_nan_inf_filter=False,
        label_smoothing_factor=0.0,
        remove_unused_columns=False,
        disable_tqdm=True,
        report_to=[],
        **_recomputing(TrainingArguments) if config.gradient_checkpointing else {},
    )
    made._n_gpu = min(made.n_gpu, 1)
    return made


def _recomputing(arguments_class: type[TrainingArguments]) -> dict[str, Any]:
    """Arguments that turn gradient checkpointing on; newer transformers call it activation checkpointing."""
    known = arguments_class.__dataclass_fields__
    name = "activation_checkpointing" if "activation_checkpointing" in known else "gradient_checkpointing"
    return {name: True, f"{name}_kwargs": {"use_reentrant": False}}
