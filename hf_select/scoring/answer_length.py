"""How long each row's answers are for a model, without its weights: `AnswerLoss` without the loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hf_select.errors import UsageError
from hf_select.scoring.scorer import Scorer
from hf_select.scoring.weights import commit_to_load, weights_identity

if TYPE_CHECKING:
    from hf_select.pool.row import Row
    from hf_select.scoring.encode import ChatEncoder


@dataclass(frozen=True, kw_only=True)
class AnswerLength(Scorer):
    """Counts the supervised tokens of each row with the model's processor and chat template.

    Columns, each with `prefix` in front: `tokens_full` int32, `n_tokens` int32, `loss_status` and `loss_reason`
    strings: those of `AnswerLoss` with the context "full", the same numbers, without `loss_full`. A table that has
    those needs nothing of this. Cost: opening and processing the pictures, one tokenization; no forward pass.

    Attributes:
        model: Hub id or local folder.
        revision: Branch, tag or commit of a Hub model.
        max_length: The window in tokens; longer rows have no number. None for no limit: unlike for `AnswerLoss`, the
            model's own window isn't known here.
        prefix: Put before every column's name.
        trust_remote_code: Whether code of the checkpoint may run.
    """

    model: str
    revision: str | None = None
    max_length: int | None = None
    prefix: str = ""
    trust_remote_code: bool = False

    def __post_init__(self) -> None:
        if self.max_length is not None and self.max_length < 1:
            raise UsageError(f"max_length={self.max_length}: give a whole number of at least 1, or None.")
        super().__post_init__()

    @property
    def adds(self) -> Mapping[str, str]:
        """The columns and their Arrow types."""
        numbers = {f"{self.prefix}{name}": "int32" for name in ("tokens_full", "n_tokens")}
        return numbers | {f"{self.prefix}{name}": "string" for name in ("loss_status", "loss_reason")}

    def extra_identity(self) -> dict[str, Any]:
        """What the name stands for now."""
        return {"weights": weights_identity(self.model, self.revision)}

    def load(self) -> ChatEncoder:
        """Load the processor alone."""
        from hf_select.scoring.encode import ChatEncoder
        from hf_select.scoring.model import load_processor

        commit = commit_to_load(self.resolved["weights"])
        return ChatEncoder(load_processor(self.model, commit, self.trust_remote_code), self.max_length)

    def score(self, rows: Sequence[Row]) -> dict[str, list]:
        """Count; see the class for the columns."""
        columns: dict[str, list] = {name: [] for name in self.adds}
        for row in rows:
            for name, value in zip(columns, self._counted(row), strict=True):
                columns[name].append(value)
        return columns

    def _counted(self, row: Row) -> tuple[int | None, int | None, str, str]:
        from hf_select.pool.row import OK
        from hf_select.scoring.encode import RowProblem

        if row.status != OK:
            return None, None, row.status, row.reason
        try:
            encoded = self.loaded.encode(row)
        except RowProblem as problem:
            return None, None, problem.status, problem.reason
        return encoded.n_supervised, encoded.n_tokens, OK, ""
