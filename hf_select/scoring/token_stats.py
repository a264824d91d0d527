"""What a model's predictions at a row's answer tokens say of it beside the loss: EL2N, margin and entropy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hf_select.scoring.answer_scorer import AnswerScorer
from hf_select.scoring.losses import answer_logits, summed
from hf_select.scoring.model import Dtype
from hf_select.scoring.scorer import runtime

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from hf_select.pool.row import Row
    from hf_select.scoring.engine import AnswerEngine

STATISTICS = ("el2n", "margin", "entropy")
"""The numbers of `token_stats`, in their order."""

_CELLS = 2**24


@dataclass(frozen=True, kw_only=True)
class TokenStats(AnswerScorer):
    """Error, margin and entropy of a model's predictions at the answer tokens of a row, from one forward.

    With R the supervised tokens as in `AnswerLoss`, z_j the logits before r_j and p_j = softmax(z_j), means over R of

        el2n    = ||p_j - onehot(r_j)||_2            0 (certain and right) to sqrt(2) (certain and wrong)
        margin  = p_j(r_j) - max over v != r_j of p_j(v)       -1 (certain and wrong) to 1 (certain and right)
        entropy = -sum over v of p_j(v) ln p_j(v)    0 to ln of the vocabulary's size, in nats

    EL2N is that of arXiv 2107.07075, which has one label a row and takes the mean of several models early in training.
    The margin is that of AUM, arXiv 2001.10528, at one point of training instead of the mean over epochs, and of
    probabilities instead of logits, so that rows and models compare.

    Columns, each with `prefix` in front: `el2n`, `margin` and `entropy` float32, `token_status` and `token_reason`
    strings. A row whose status isn't "ok" has null in every number; statuses are those of `AnswerLoss`.

    Cost: one forward a row, as `AnswerLoss` with the context "full", and a softmax over the vocabulary at answer
    positions. It is computed in float32 whatever the model's dtype, at most 64 MB a tensor. In float32 the numbers
    don't depend on batching, order or neighbours (1e-5).

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

    @property
    def adds(self) -> Mapping[str, str]:
        """The columns and their Arrow types."""
        columns = dict.fromkeys(STATISTICS, "float32") | {"token_status": "string", "token_reason": "string"}
        return {self.prefix + name: kind for name, kind in columns.items()}

    def load(self) -> AnswerEngine:
        """Load exactly the weights that were identified."""
        return self.engine(("full",), row_stats)

    def score(self, rows: Sequence[Row]) -> dict[str, list]:
        """Score rows; see the class for the columns."""
        columns: dict[str, list] = {name: [] for name in self.adds}
        for result in self.loaded.score(rows):
            *sums, count = result.facts.get("full", (*(None for _ in STATISTICS), None))
            means = sums if count is None else [total / count for total in sums]
            for values, value in zip(columns.values(), (*means, result.status, result.reason), strict=True):
                values.append(value)
        return columns


def row_stats(model: PreTrainedModel, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Return each row's summed statistics and its number of supervised tokens.

    Args:
        model: In evaluation mode.
        batch: What `ChatEncoder.collate` gives, on the model's device, with at least one supervised token.

    Returns:
        float64 sums (rows, 3) in the order of `STATISTICS`, and int64 counts (rows,).
    """
    logits, targets = answer_logits(model, batch)
    at_once = max(1, _CELLS // logits.shape[-1])
    return summed(token_stats, logits, targets, at_once, (len(STATISTICS),))


def token_stats(logits: Tensor, targets: Tensor) -> Tensor:
    """Return EL2N, margin and entropy of each prediction.

    The error at the target is summed over the other tokens: 1 - p(target) would lose what is left where p is near 1.

    Args:
        logits: float32 (n, vocabulary), more than one word.
        targets: int64 (n,).

    Returns:
        float32 (n, 3); NaN where a logit is NaN or plus infinity.
    """
    import torch

    probabilities = logits.softmax(-1)
    entropy = torch.special.entr(probabilities).sum(-1)
    own = probabilities.gather(1, targets[:, None])[:, 0]
    others = probabilities.scatter_(1, targets[:, None], 0)
    el2n = torch.hypot(torch.linalg.vector_norm(others, dim=-1), others.sum(-1))
    return torch.stack([el2n, own - others.amax(-1), entropy], -1)
