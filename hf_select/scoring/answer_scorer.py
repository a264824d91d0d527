"""What the scorers of rows under a vision-language model share: how the model is named, loaded and run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from hf_select.errors import UsageError
from hf_select.scoring import memory
from hf_select.scoring.model import Dtype, load_vlm, resolve_dtype
from hf_select.scoring.scorer import Scorer, runtime
from hf_select.scoring.weights import commit_to_load, weights_identity

if TYPE_CHECKING:
    from transformers import PreTrainedModel, ProcessorMixin

    from hf_select.scoring.encode import ChatEncoder
    from hf_select.scoring.engine import AnswerEngine, Measure


@dataclass(frozen=True, kw_only=True)
class AnswerScorer(Scorer):
    """A scorer that shows a vision-language model whole rows.

    Attributes:
        model: Hub id or local folder of any image-text-to-text model with a chat template, or of a peft adapter.
        revision: Branch, tag or commit of a Hub model.
        adapter: Hub id or folder of a peft adapter to merge in.
        max_length: The window in tokens; None for the model's own, which it never exceeds.
        prefix: Put before every column's name, so that scores of several models fit in one table.
        dtype: "auto" (bfloat16 on CUDA, float32 elsewhere), "float32" or "bfloat16".
        trust_remote_code: Whether code of the checkpoint may run.
        device: Where to run; None for the best there is. Not part of the identity.
        micro_batch: Most rows of one forward; None to choose. Not part of the identity.
        token_budget: Most padded tokens of one forward; None to choose. Not part of the identity.
    """

    model: str
    revision: str | None = None
    adapter: str | None = None
    max_length: int | None = None
    prefix: str = ""
    dtype: Dtype = "auto"
    trust_remote_code: bool = False
    device: str | None = runtime(None)
    micro_batch: int | None = runtime(None)
    token_budget: int | None = runtime(None)

    def __post_init__(self) -> None:
        for name in ("max_length", "micro_batch", "token_budget"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name}={value}: give a whole number of at least 1, or None.")
        super().__post_init__()

    @classmethod
    def of(cls, model: PreTrainedModel, processor: ProcessorMixin, **config: Any) -> Self:
        """Score with a model that is already in memory, where it is and in its dtype; its mode is put back after use.

        Its identity is a digest of weights and processor taken now (about 0.1 s a GB): make it again after training on.

        Args:
            model: Any image-text-to-text model; kept alive until the process ends.
            processor: Its processor.
            **config: Other fields of the scorer, without model, revision, adapter, dtype and device.
        """
        return cls(model=memory.remember(model, processor), **config)

    def extra_identity(self) -> dict[str, Any]:
        """The weights that the names stand for now, and the dtype that "auto" means here."""
        if memory.is_remembered(self.model):
            return {}
        identity = {
            "weights": weights_identity(self.model, self.revision),
            "dtype": resolve_dtype(self.dtype, self.device),
        }
        if self.adapter is not None:
            identity["adapter"] = weights_identity(self.adapter)
        return identity

    def engine(self, contexts: Sequence[str], measure: Measure) -> AnswerEngine:
        """Load exactly the weights that were identified, to measure rows in `contexts`."""
        from hf_select.scoring.engine import AnswerEngine

        model, encoder = self.opened()
        return AnswerEngine(model, encoder, contexts, measure, self.micro_batch, self.token_budget)

    def opened(self) -> tuple[PreTrainedModel, ChatEncoder]:
        """Load exactly the weights that were identified, and what encodes rows for them within the window."""
        from hf_select.scoring.encode import ChatEncoder
        from hf_select.scoring.model import context_window

        if memory.is_remembered(self.model):
            model, processor = memory.recall(self.model)
        else:
            model, processor = self._load_weights()
        window = context_window(model, processor.tokenizer)
        if self.max_length is not None:
            window = min(window, self.max_length)
        return model, ChatEncoder(processor, window)

    def _load_weights(self) -> tuple[PreTrainedModel, ProcessorMixin]:
        weights, adapter = self.resolved["weights"], self.resolved.get("adapter", {})
        return load_vlm(
            self.model,
            commit_to_load(weights),
            self.adapter,
            self.resolved["dtype"],
            self.device,
            self.trust_remote_code,
            adapter_revision=adapter.get("commit"),
        )
