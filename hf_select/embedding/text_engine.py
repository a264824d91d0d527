"""Texts in, one vector a text out, with any encoder of transformers; what is cut is said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hf_select.embedding.batches import Batches
from hf_select.embedding.pooling import pooled_text
from hf_select.embedding.vectors import Refused, VectorMemo, finished
from hf_select.errors import UsageError, require
from hf_select.scoring.losses import evaluating
from hf_select.scoring.model import LOAD_ERRORS, context_window, first_line

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_NO_TEXT = Refused("no_text", "the row has no text of this kind")
_UNUSED = ("pooler.",)
# Their positions start behind the padding token's number.
_SHIFTED_POSITIONS = {"roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "mpnet", "longformer"}


def load_text(
    model: str, commit: str | None, dtype: str, device: str
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load an encoder of texts from safetensors, in evaluation mode, and its tokenizer.

    Raises:
        UsageError: If the checkpoint can't be used so.
    """
    torch = require("torch", "models")
    transformers = require("transformers", "models")
    verbosity = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(model, revision=commit)
        module, info = transformers.AutoModel.from_pretrained(
            model, revision=commit, dtype=getattr(torch, dtype), use_safetensors=True, output_loading_info=True
        )
    except LOAD_ERRORS as error:
        raise UsageError(f"{model} can't be loaded as a text encoder from safetensors: {first_line(error)}") from error
    finally:
        transformers.logging.set_verbosity(verbosity)
    missing = [key for key in info["missing_keys"] if not key.startswith(_UNUSED)]
    if missing:
        raise UsageError(
            f"{model} has no weights for {len(missing)} tensors of {type(module).__name__} ({min(missing)}, ...): give"
            " the id or folder of a complete text encoder."
        )
    return module.to(device).eval(), tokenizer


class TextVector(NamedTuple):
    """The vector of a text, and whether the text was cut to the window for it."""

    vector: np.ndarray
    truncated: bool


class TextEngine:
    """Embeds texts, each distinct one once, in batches of like length.

    Args:
        model: Any model of transformers that takes tokens and gives a last hidden state.
        tokenizer: Its tokenizer.
        pool: "cls" or "mean".
        normalize: Whether vectors get unit length.
        max_length: The window in tokens, special tokens included; None for the model's own, which it never exceeds.
        most: Most texts of a forward.
        name: What messages call the model.

    Raises:
        UsageError: If "cls" is asked of a tokenizer that writes no CLS token, or there is no way to pad.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        pool: str,
        normalize: bool,
        max_length: int | None,
        most: int,
        name: str,
    ) -> None:
        if pool == "cls" and tokenizer.cls_token_id is None:
            raise UsageError(f'{name} has no CLS token: use pool="mean".')
        self.model = model
        self.tokenizer = tokenizer
        self.pool = pool
        self.normalize = normalize
        self.window = _window(model, tokenizer) if max_length is None else min(max_length, _window(model, tokenizer))
        self._padding = 0 if tokenizer.pad_token_id is None else tokenizer.pad_token_id
        self._batches: Batches[list[int]] = Batches(self._forward, most)
        self._memo = VectorMemo(model.config.get_text_config().hidden_size)

    def embed(self, texts: Sequence[str | Refused]) -> list[TextVector | Refused]:
        """Return one vector or refusal a text, in order; what is refused already stays so."""
        wanted = list(dict.fromkeys(text for text in texts if isinstance(text, str) and text.strip()))
        tokens = {text: self._tokens(text) for text in wanted}
        known: dict[str, np.ndarray | Refused] = dict(self._memo.known(wanted))
        todo = sorted((text for text in wanted if text not in known), key=lambda text: len(tokens[text][0]))
        with evaluating(self.model):
            vectors = self._batches.run([tokens[text][0] for text in todo])
        for text, vector in zip(todo, vectors, strict=True):
            known[text] = vector if isinstance(vector, Refused) else finished(vector, self.normalize, "the text")
            if not isinstance(known[text], Refused):
                self._memo.keep(text, known[text])
        return [self._result(text, known, tokens) for text in texts]

    def _result(self, text: str | Refused, known: dict[str, Any], tokens: dict[str, Any]) -> TextVector | Refused:
        if isinstance(text, Refused):
            return text
        vector = known.get(text, _NO_TEXT)
        return vector if isinstance(vector, Refused) else TextVector(vector, tokens[text][1])

    def _tokens(self, text: str) -> tuple[list[int], bool]:
        """The text's tokens, cut to the window, and whether anything was cut."""
        whole = self.tokenizer(text, truncation=False, verbose=False)["input_ids"]
        if len(whole) <= self.window:
            return whole, False
        return self.tokenizer(text, truncation=True, max_length=self.window)["input_ids"], True

    def _forward(self, rows: Sequence[list[int]]) -> np.ndarray:
        ids, mask = self._padded(rows, max(map(len, rows)))
        tokens = self.model(input_ids=ids, attention_mask=mask).last_hidden_state
        return pooled_text(tokens, mask, self.pool).cpu().numpy()

    def _padded(self, rows: Sequence[list[int]], length: int) -> tuple[Tensor, Tensor]:
        """Tokens and attention mask of texts, (n, length), padded on the right."""
        import torch

        ids = torch.tensor([row + [self._padding] * (length - len(row)) for row in rows], device=self.model.device)
        mask = torch.tensor([[1] * len(row) + [0] * (length - len(row)) for row in rows], device=self.model.device)
        return ids, mask


def _window(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int:
    window = context_window(model, tokenizer)
    positions = model.config.to_dict().get("max_position_embeddings")
    if model.config.model_type in _SHIFTED_POSITIONS and positions is not None:
        window = min(window, positions - 2)
    return window
