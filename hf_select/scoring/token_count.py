"""How long each row is for a model, without its weights: what budgets in tokens are counted in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hf_select.scoring.scorer import Scorer
from hf_select.scoring.weights import commit_to_load, weights_identity

if TYPE_CHECKING:
    from hf_select.pool.row import Row
    from hf_select.scoring.encode import ChatEncoder


@dataclass(frozen=True, kw_only=True)
class TokenCount(Scorer):
    """Counts a row's tokens, image tokens included, with the model's processor and chat template.

    Column: `<prefix>n_tokens` int32, the same number as `AnswerLoss` gives, without its window: a row longer than the
    model's window has its count here. Null where the row can't be written as a prompt (`AnswerLoss` and `check_pool`
    give the reason). Cost: opening and processing the pictures, one tokenization.

    Attributes:
        model: Hub id or local folder.
        revision: Branch, tag or commit of a Hub model.
        prefix: Put before the column's name.
        trust_remote_code: Whether code of the checkpoint may run.
    """

    model: str
    revision: str | None = None
    prefix: str = ""
    trust_remote_code: bool = False

    @property
    def adds(self) -> Mapping[str, str]:
        """The one column."""
        return {f"{self.prefix}n_tokens": "int32"}

    def extra_identity(self) -> dict[str, Any]:
        """What the name stands for now."""
        return {"weights": weights_identity(self.model, self.revision)}

    def load(self) -> ChatEncoder:
        """Load the processor alone."""
        from hf_select.scoring.encode import ChatEncoder
        from hf_select.scoring.model import load_processor

        commit = commit_to_load(self.resolved["weights"])
        return ChatEncoder(load_processor(self.model, commit, self.trust_remote_code))

    def score(self, rows: Sequence[Row]) -> dict[str, list]:
        """Count the tokens of each row."""
        return {f"{self.prefix}n_tokens": [self._count(row) for row in rows]}

    def _count(self, row: Row) -> int | None:
        from hf_select.pool.row import OK
        from hf_select.scoring.encode import RowProblem

        if row.status != OK:
            return None
        try:
            return self.loaded.encode(row).n_tokens
        except RowProblem:
            return None
