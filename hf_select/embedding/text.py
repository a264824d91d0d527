"""One vector a row from its texts: its questions, its answers, or the whole conversation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hf_select.embedding.columns import Storage, vector_columns, vector_results
from hf_select.embedding.dims import declared_dim
from hf_select.embedding.pooling import Pool, known_pool
from hf_select.embedding.vectors import Refused
from hf_select.errors import UnknownName, UsageError
from hf_select.pool.row import OK, Row
from hf_select.scoring.model import Dtype, best_device, resolve_dtype
from hf_select.scoring.scorer import Scorer, runtime
from hf_select.scoring.weights import weights_identity

if TYPE_CHECKING:
    from hf_select.embedding.text_engine import TextEngine

Text = Literal["first_question", "questions", "answers", "conversation"]
TEXTS = ("first_question", "questions", "answers", "conversation")


@dataclass(frozen=True, kw_only=True)
class TextEmbedding(Scorer):
    """One vector a row: its questions, answers or conversation as a text encoder reads them, pooled.

    The masked mean over the tokens of the last hidden state, with unit L2 norm, is what sentence-transformers computes
    for most of its models; it isn't needed here. Give `max_length=256` with all-MiniLM-L6-v2 for the same cut.

    Columns, each with `prefix` in front: `text_embedding`, a fixed-size list of `storage` numbers (null where the
    status isn't "ok"), `text_embedding_truncated` (bool: the text is longer than the window and the vector is of its
    beginning; the status stays "ok"), `text_embedding_status` and `text_embedding_reason`. Statuses beside those of
    the row: "no_text" (nothing but blanks), "zero_vector", "non_finite", "out_of_memory".

    Equal texts share one forward; the last 64 MB of vectors are remembered. In float32 a vector is the same within 1e-6
    in any batch, order or neighbourhood. Cost: one forward a distinct text, in batches of like length.

    Attributes:
        model: Hub id or local folder of any text encoder that `AutoModel` loads.
        revision: Branch, tag or commit of a Hub model.
        text: "first_question", "questions", "answers" (each joined by line breaks), or "conversation": all that users
            and assistant say, in order. Image places leave nothing behind.
        pool: "mean" over the tokens, or "cls" for the first one.
        normalize: Whether vectors get unit L2 norm.
        max_length: The window in tokens, special tokens included; None for the model's own, which it never exceeds.
        storage: "float32", or "float16" for half the size and three digits.
        prefix: Put before every column's name, so that vectors of several texts fit in one table.
        dtype: What the encoder computes in: "float32", "bfloat16", or "auto" (bfloat16 on CUDA).
        device: Where to run; None for the best there is. Not part of the identity.
        micro_batch: Most texts of one forward; None for 32. Not part of the identity.
    """

    model: str = "sentence-transformers/all-MiniLM-L6-v2"
    revision: str | None = None
    text: Text = "first_question"
    pool: Pool = "mean"
    normalize: bool = True
    max_length: int | None = None
    storage: Storage = "float32"
    prefix: str = ""
    dtype: Dtype = "float32"
    device: str | None = runtime(None)
    micro_batch: int | None = runtime(None)

    def __post_init__(self) -> None:
        known_pool(self.pool)
        if self.text not in TEXTS:
            raise UnknownName("text", self.text, TEXTS)
        for name in ("max_length", "micro_batch"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name}={value}: give a whole number of at least 1, or None.")
        super().__post_init__()

    @property
    def adds(self) -> Mapping[str, str]:
        """The columns and their Arrow types; reads the checkpoint's config.json at most."""
        name = f"{self.prefix}text_embedding"
        return vector_columns(name, self.storage, self.resolved["dim"]) | {f"{name}_truncated": "bool"}

    def extra_identity(self) -> dict[str, Any]:
        """The weights that the name stands for now, the length of its vectors, and what "auto" means here."""
        weights = weights_identity(self.model, self.revision)
        return {
            "weights": weights,
            "dim": declared_dim(self.model, weights.get("commit"), vision=False),
            "dtype": resolve_dtype(self.dtype, self.device),
        }

    def load(self) -> TextEngine:
        """Load exactly the weights that were identified."""
        from hf_select.embedding.text_engine import TextEngine, load_text

        commit = self.resolved["weights"].get("commit")
        model, tokenizer = load_text(self.model, commit, self.resolved["dtype"], self.device or best_device())
        most = self.micro_batch or 32
        return TextEngine(model, tokenizer, self.pool, self.normalize, self.max_length, most, self.model)

    def score(self, rows: Sequence[Row]) -> dict[str, list]:
        """Embed rows; see the class for the columns."""
        name = f"{self.prefix}text_embedding"
        results = self.loaded.embed([text_of(row, self.text) for row in rows])
        vectors: list[np.ndarray | Refused] = [one if isinstance(one, Refused) else one.vector for one in results]
        cut = [None if isinstance(one, Refused) else one.truncated for one in results]
        return vector_results(name, self.storage, vectors) | {f"{name}_truncated": cut}


def text_of(row: Row, text: Text) -> str | Refused:
    """Return the text of a row that is embedded, or why there is none."""
    if row.status != OK:
        return Refused(row.status, row.reason)
    questions = [question for question, _ in row.turns]
    if text == "first_question":
        return questions[0] if questions else ""
    if text == "questions":
        return "\n".join(questions)
    if text == "answers":
        return "\n".join(row.answers)
    return "\n".join(message.text for message in row.messages if message.role != "system")
