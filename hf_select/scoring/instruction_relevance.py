"""PreSel's Instruction Relevance Score: how much of a row's answer its question explains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from hf_select.errors import UnknownName, UsageError
from hf_select.pool.row import OK
from hf_select.scoring.answer_loss import AnswerLoss

if TYPE_CHECKING:
    from hf_select.pool.row import Row

FORMS: dict[str, tuple[str, str]] = {"turns": ("full", "no_question"), "joined": ("full", "joined_answers")}
"""The contexts of numerator and denominator in each form."""


@dataclass(frozen=True, kw_only=True)
class InstructionRelevance(AnswerLoss):
    """Mean loss of a row's answers with its questions over their mean loss without them, under a reference model.

    IRS(I, Y) = L(R | Q, I) / L(R | I), with L the mean negative log-likelihood per supervised token (PreSel, arXiv
    2503.07591; the published files call it perplexity, it is a ratio of losses). Low means that the question tells the
    model much. "turns" drops the questions turn by turn; "joined", the form of the published code, joins all answers
    of a row into one turn. On rows of one turn they are equal, see `hf_select.scoring.contexts.joined_answers` for an
    example where they differ.

    Columns: those of `AnswerLoss` for the two contexts, from whose sums and counts the ratio is computed, and with
    `prefix` in front `irs` float32, `irs_status` and `irs_reason`. Statuses beside those of `AnswerLoss`:
    "zero_denominator" (the model is certain of the answer without the question) and "non_finite".

    Cost: two forwards a row, like `AnswerLoss` with two contexts.

    Attributes:
        form: "turns" or "joined".
        contexts: The two contexts of `form`.
    """

    form: Literal["turns", "joined"] = "turns"
    contexts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise UnknownName("no-question form", self.form, FORMS)
        if self.contexts and tuple(self.contexts) != FORMS[self.form]:
            raise UsageError(f"contexts={self.contexts!r}: the form {self.form!r} has its own, leave contexts out.")
        object.__setattr__(self, "contexts", FORMS[self.form])
        super().__post_init__()

    @property
    def adds(self) -> Mapping[str, str]:
        """The columns and their Arrow types."""
        mine = {"irs": "float32", "irs_status": "string", "irs_reason": "string"}
        return {**super().adds, **{self.prefix + name: kind for name, kind in mine.items()}}

    def score(self, rows: Sequence[Row]) -> dict[str, list]:
        """Score rows; see the class for the columns."""
        columns = super().score(rows)
        names = [f"{self.prefix}{fact}_{context}" for context in self.contexts for fact in ("loss", "tokens")]
        told = [columns[f"{self.prefix}loss_status"], columns[f"{self.prefix}loss_reason"]]
        found = [
            (None, status, reason) if status != OK else _ratio(*facts)
            for status, reason, *facts in zip(*told, *(columns[name] for name in names), strict=True)
        ]
        for name, values in zip(("irs", "irs_status", "irs_reason"), zip(*found, strict=True), strict=False):
            columns[self.prefix + name] = list(values)
        return {name: columns.get(name, []) for name in self.adds}


def _ratio(loss: float, tokens: int, loss_without: float, tokens_without: int) -> tuple[float | None, str, str]:
    """The score from the facts as they are stored, in float32 sums: a derived column gives the same number."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        without = np.float64(np.float32(loss_without)) / tokens_without
        value = np.float64(np.float32(loss)) / tokens / without
    if without == 0:
        return None, "zero_denominator", "the answer's loss without its question is 0, so there is no ratio"
    if not (np.isfinite(without) and abs(value) <= np.finfo(np.float32).max):
        return None, "non_finite", f"the losses {loss:g} and {loss_without:g} have no finite ratio"
    return float(value), OK, ""
