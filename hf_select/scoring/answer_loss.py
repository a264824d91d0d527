"""The loss of a row's answers under a model, in several contexts: what necessity, IRS, IFD and VisNec are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hf_select.errors import UsageError
from hf_select.scoring.answer_scorer import AnswerScorer
from hf_select.scoring.contexts import CONTEXTS, known_context
from hf_select.scoring.model import Dtype
from hf_select.scoring.scorer import runtime

if TYPE_CHECKING:
    from hf_select.pool.row import Row
    from hf_select.scoring.engine import AnswerEngine


@dataclass(frozen=True, kw_only=True)
class AnswerLoss(AnswerScorer):
    """Negative log-likelihood of all answers of a row, in one pass per context however many turns it has.

    With R the supervised tokens (every assistant turn and its end-of-turn token, where the chat template writes one):
    loss_c = sum over j in R of -ln p(r_j | what context c shows, answers before j), in nats. Stored are the float32 sum
    and the int32 count of each context; means, perplexities, ratios and differences are column arithmetic
    (`hf_select.sampling.derive`): necessity = loss_full / tokens_full (our reading of arXiv 2503.20502), IRS = ratio of
    the means full / no_question (arXiv 2503.07591, IRS definition), VisNec = no_image - full. In the contexts "inverse"
    and "inverse_no_answer" the questions are what is scored, as if they were the answers (DICS).

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
        contexts: Which contexts to score: "full", "no_question", "joined_answers", "no_image", "inverse",
            "inverse_no_answer". A row that can't be scored in one of them has no number in any.
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
        super().__post_init__()

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

    def load(self) -> AnswerEngine:
        """Load exactly the weights that were identified."""
        from hf_select.scoring.losses import row_losses

        return self.engine(self.contexts, row_losses)

    def score(self, rows: Sequence[Row]) -> dict[str, list]:
        """Score rows; see the class for the columns."""
        results = self.loaded.score(rows)
        columns: dict[str, list] = {name: [] for name in self.adds}
        for result in results:
            for context in self.contexts:
                total, count = result.facts.get(context, (None, None))
                columns[f"{self.prefix}loss_{context}"].append(total)
                columns[f"{self.prefix}tokens_{context}"].append(count)
            columns[f"{self.prefix}n_tokens"].append(result.n_tokens if result.facts else None)
            columns[f"{self.prefix}loss_status"].append(result.status)
            columns[f"{self.prefix}loss_reason"].append(result.reason)
        return columns
