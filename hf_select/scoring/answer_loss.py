"""The loss of a row's answers under a model, in several contexts: what necessity, IRS, IFD and VisNec are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from hf_select.errors import UsageError
from hf_select.scoring import memory
from hf_select.scoring.contexts import CONTEXTS, known_context
from hf_select.scoring.model import Dtype, load_vlm, resolve_dtype
from hf_select.scoring.scorer import Scorer, runtime
from hf_select.scoring.weights import commit_to_load, weights_identity

if TYPE_CHECKING:
    from transformers import PreTrainedModel, ProcessorMixin

    from hf_select.pool.row import Row
    from hf_select.scoring.engine import LossEngine


@dataclass(frozen=True, kw_only=True)
class AnswerLoss(Scorer):
    """Negative log-likelihood of all answers of a row, in one pass per context however many turns it has.

    With R the supervised tokens (every assistant turn and its end-of-turn token, where the chat template writes one):
    loss_c = sum over j in R of -ln p(r_j | what context c shows, answers before j), in nats. Stored are the float32 sum
    and the int32 count of each context; means, perplexities, ratios and differences are column arithmetic
    (`hf_select.sampling.derive`): necessity = loss_full / tokens_full (our reading of arXiv 2503.20502), IRS = ratio of
    the means full / no_question (arXiv 2503.07591, IRS definition), VisNec = no_image - full.

    Columns, each with `prefix` in front: `loss_<context>` float32 and `tokens_<context>` int32 for every context,
    `n_tokens` int32 (length of the whole row, image tokens included), `loss_status` and `loss_reason` strings. A row
    whose status isn't "ok" has null in every number. Statuses beside those of the row and its pictures: "template" (the
    chat template can't write this row, or its tokens can't be told apart), "no_supervised_tokens", "truncated" and
    "too_long" (nothing is ever cut to fit the window), "non_finite", "out_of_memory".

    Cost: one forward a row and context; pictures are opened, processed and seen by the vision tower once for all
    contexts, logits are computed at answer positions only. In float32 the numbers don't depend on batching, order or
    neighbours (1e-5 relative a token; the same bit for bit on a CPU with the default micro-batch).

    Attributes:
        model: Hub id or local folder of any image-text-to-text model with a chat template, or of a peft adapter.
        revision: Branch, tag or commit of a Hub model.
        adapter: Hub id or folder of a peft adapter to merge in.
        contexts: Which contexts to score: "full", "no_question", "joined_answers", "no_image".
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
    contexts: tuple[str, ...] = ("full",)
    max_length: int | None = None
    prefix: str = ""
    dtype: Dtype = "auto"
    trust_remote_code: bool = False
    device: str | None = runtime(None)
    micro_batch: int | None = runtime(None)
    token_budget: int | None = runtime(None)

    def __post_init__(self) -> None:
        object.__setattr__(self, "contexts", tuple(known_context(context) for context in self.contexts))
        if not self.contexts or len(set(self.contexts)) < len(self.contexts):
            raise UsageError(f"contexts={self.contexts!r}: give one or more of {', '.join(CONTEXTS)}, each once.")
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

    @property
    def adds(self) -> Mapping[str, str]:
        """The columns and their Arrow types."""
        columns = {}
        for context in self.contexts:
            columns |= {f"{self.prefix}loss_{context}": "float32", f"{self.prefix}tokens_{context}": "int32"}
        return columns | {
            f"{self.prefix}n_tokens": "int32",
            f"{self.prefix}loss_status": "string",
            f"{self.prefix}loss_reason": "string",
        }

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

    def load(self) -> LossEngine:
        """Load exactly the weights that were identified."""
        from hf_select.scoring.encode import ChatEncoder
        from hf_select.scoring.engine import LossEngine
        from hf_select.scoring.model import context_window

        if memory.is_remembered(self.model):
            model, processor = memory.recall(self.model)
        else:
            model, processor = self._load_weights()
        window = context_window(model, processor.tokenizer)
        if self.max_length is not None:
            window = min(window, self.max_length)
        encoder = ChatEncoder(processor, window)
        return LossEngine(model, encoder, self.contexts, self.micro_batch, self.token_budget)

    def score(self, rows: Sequence[Row]) -> dict[str, list]:
        """Score rows; see the class for the columns."""
        results = self.loaded.score(rows)
        columns: dict[str, list] = {name: [] for name in self.adds}
        for result in results:
            for context in self.contexts:
                total, count = result.losses.get(context, (None, None))
                columns[f"{self.prefix}loss_{context}"].append(total)
                columns[f"{self.prefix}tokens_{context}"].append(count)
            columns[f"{self.prefix}n_tokens"].append(result.n_tokens if result.losses else None)
            columns[f"{self.prefix}loss_status"].append(result.status)
            columns[f"{self.prefix}loss_reason"].append(result.reason)
        return columns

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
