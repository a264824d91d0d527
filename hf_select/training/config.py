"""The settings of a fine-tune, each with its help text, so that a command line can make flags of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_args

from hf_select.errors import UnknownName, UsageError

Parts = Literal["all", "language", "projector"]
Precision = Literal["auto", "float32", "bfloat16"]


def _setting(default: Any, text: str, *, runtime: bool = False) -> Any:
    return field(default=default, metadata={"help": text, "runtime": runtime})


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """How a model is fine-tuned. The defaults are LLaVA-1.5's second stage (arXiv 2310.03744) on one device.

    Every field carries `metadata["help"]`; fields with `metadata["runtime"]` don't decide the weights and are left out
    of the identity of a result. `FitConfig.lora()` gives the LoRA settings of the same paper's code, which PreSel and
    COINCIDE use too.

    Raises:
        UsageError: A value is out of its range, or two settings exclude each other.
    """

    train: Parts = _setting(
        "all", "which parts learn: all (language model and projector), language, or projector; see --freeze-vision"
    )
    freeze_vision: bool = _setting(True, "keep the vision tower as it is; false lets it learn with train=all")
    lora_rank: int = _setting(0, "rank of LoRA adapters on the language model's linear layers; 0 trains all weights")
    lora_alpha: int | None = _setting(None, "LoRA scale is alpha / rank; None is twice the rank")
    lora_dropout: float = _setting(0.05, "dropout inside the LoRA adapters")
    keep_adapter: bool = _setting(False, "save the LoRA adapter instead of a merged plain checkpoint")
    lr: float | None = _setting(None, "peak learning rate; None is 2e-5, 2e-4 with LoRA, 1e-3 for the projector alone")
    projector_lr: float | None = _setting(None, "peak learning rate of the projector; None is lr")
    epochs: float = _setting(1.0, "passes over the rows; max_steps overrides it")
    max_steps: int | None = _setting(None, "optimizer steps; None follows epochs")
    batch_size: int = _setting(8, "rows in one forward pass")
    accumulation: int = _setting(1, "forward passes per optimizer step; the loss doesn't depend on how rows are split")
    warmup: float = _setting(0.03, "share of the steps in which the learning rate rises; then it falls by a cosine")
    weight_decay: float = _setting(0.0, "AdamW's decay of weight matrices (never of biases and norms)")
    max_grad_norm: float = _setting(1.0, "gradients are scaled down to this norm; 0 leaves them")
    max_length: int | None = _setting(2048, "longest row in tokens, image tokens included; longer rows are skipped")
    seed: int = _setting(0, "seed of adapter weights, row order and dropout")
    dtype: Precision = _setting("auto", "compute in bfloat16 or float32; auto is bfloat16 where the device has it")
    gradient_checkpointing: bool = _setting(
        False, "recompute activations: less memory, about a third slower", runtime=True
    )
    save_every: int = _setting(200, "optimizer steps between checkpoints to resume from", runtime=True)
    dataloader_workers: int = _setting(0, "processes that decode pictures ahead of the model", runtime=True)

    def __post_init__(self) -> None:
        for name, allowed in (("train", get_args(Parts)), ("dtype", get_args(Precision))):
            if getattr(self, name) not in allowed:
                raise UnknownName(name, str(getattr(self, name)), allowed)
        self._at_least(0, "lora_rank", "weight_decay", "max_grad_norm", "seed", "dataloader_workers")
        self._at_least(1, "batch_size", "accumulation", "save_every", "lora_alpha", "max_steps", "max_length")
        for name in ("lr", "projector_lr", "epochs"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise UsageError(f"{name} is {value}; it must be a positive number.")
        for name in ("warmup", "lora_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}; it is a share from 0 to below 1.")
        self._check_together()

    @classmethod
    def lora(cls, rank: int = 128, **changes: Any) -> FitConfig:
        """Return LLaVA-1.5's LoRA recipe: rank 128, alpha 256, lr 2e-4, projector lr 2e-5, cosine, warm-up 0.03."""
        return cls(**{"lora_rank": rank, "projector_lr": 2e-5, **changes})

    @property
    def peak_lr(self) -> float:
        """The learning rate in use: `lr`, or the default of the kind of training."""
        if self.lr is not None:
            return self.lr
        if self.lora_rank:
            return 2e-4
        return 1e-3 if self.train == "projector" else 2e-5

    @property
    def alpha(self) -> int:
        """LoRA's alpha in use."""
        return self.lora_alpha if self.lora_alpha is not None else 2 * self.lora_rank

    @property
    def rows_per_step(self) -> int:
        """Rows of one optimizer step, the total batch."""
        return self.batch_size * self.accumulation

    def identity(self) -> dict[str, Any]:
        """Return the settings that decide the weights (JSON-able)."""
        runtime = {f.name for f in fields(self) if f.metadata["runtime"]}
        return {name: value for name, value in asdict(self).items() if name not in runtime}

    def _check_together(self) -> None:
        if self.lora_rank and self.train == "projector":
            raise UsageError("LoRA adapts the language model and train=projector leaves it alone: set lora_rank to 0.")
        if self.lora_rank and not self.freeze_vision:
            raise UsageError("with LoRA the vision tower stays frozen: set freeze_vision to true or lora_rank to 0.")
        if self.keep_adapter and not self.lora_rank:
            raise UsageError("keep_adapter needs an adapter: set lora_rank, for example to 128.")
        if self.train != "all" and not self.freeze_vision:
            raise UsageError(f"freeze_vision=false needs train=all and train is {self.train}: change one of them.")

    def _at_least(self, least: int, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            if value is not None and not value >= least:
                raise UsageError(f"{name} is {value}; it must be at least {least}.")
