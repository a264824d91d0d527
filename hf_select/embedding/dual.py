"""Encoders of pictures and texts into one space, as CLIP and SigLIP: both sides run by the embedders' own engines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_select.embedding.text_engine import TextEngine
from hf_select.embedding.vision import VisionEncoder
from hf_select.errors import UsageError, require
from hf_select.scoring.model import LOAD_ERRORS, first_line

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_TO_THE_WINDOW = {"siglip"}
"""Trained on texts padded to the whole window, and without an attention mask: padding is part of the text."""


def load_dual(
    model: str, commit: str | None, dtype: str, device: str
) -> tuple[PreTrainedModel, Any, PreTrainedTokenizerBase]:
    """Load a dual encoder from safetensors, in evaluation mode, its image processor (the one on Pillow) and tokenizer.

    Args:
        model: Hub id or local folder.
        commit: Commit of a Hub id.
        dtype: "float32" or "bfloat16".
        device: Where to put it.

    Raises:
        UsageError: If the checkpoint has no two sides, no processor or tokenizer, or weights are missing.
    """
    torch = require("torch", "models")
    transformers = require("transformers", "models")
    verbosity = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    try:
        # On Pillow everywhere: with torchvision installed the same picture would get other numbers.
        processor = transformers.AutoImageProcessor.from_pretrained(model, revision=commit, backend="pil")
        tokenizer = transformers.AutoTokenizer.from_pretrained(model, revision=commit)
        module, info = transformers.AutoModel.from_pretrained(
            model, revision=commit, dtype=getattr(torch, dtype), use_safetensors=True, output_loading_info=True
        )
    except LOAD_ERRORS as error:
        raise UsageError(
            f"{model} can't be loaded as an encoder of pictures and texts from safetensors: {first_line(error)}"
        ) from error
    finally:
        transformers.logging.set_verbosity(verbosity)
    if not all(hasattr(type(module), f"get_{side}_features") for side in ("image", "text")):
        raise UsageError(f"{model} ({type(module).__name__}) has no text and image features: give a CLIP or SigLIP.")
    if info["missing_keys"]:
        some = min(info["missing_keys"])
        raise UsageError(
            f"{model} has no weights for {len(info['missing_keys'])} tensors of {type(module).__name__} ({some}, ...):"
            " give the id or folder of a complete encoder."
        )
    return module.to(device).eval(), processor, tokenizer


class DualImages(VisionEncoder):
    """The side that sees: pictures to the space that texts share."""

    def vectors(self, views: np.ndarray) -> np.ndarray:
        """Return one vector a view, (n, dim) float32. Call it inside `evaluating()`."""
        import torch

        pixels = torch.from_numpy(views).to(**self._placed)
        return _features(self.module.get_image_features(pixel_values=pixels))


class DualTexts(TextEngine):
    """The side that reads: texts to the space that pictures share."""

    def _forward(self, rows: Sequence[list[int]]) -> np.ndarray:
        if self.model.config.model_type in _TO_THE_WINDOW:
            ids, _ = self._padded(rows, self.window)
            return _features(self.model.get_text_features(input_ids=ids))
        ids, mask = self._padded(rows, max(map(len, rows)))
        return _features(self.model.get_text_features(input_ids=ids, attention_mask=mask))


def _features(out: Tensor | Any) -> np.ndarray:
    """The vectors of a batch, which transformers 5 wraps in the output of a whole encoder."""
    import torch

    vectors = out if isinstance(out, torch.Tensor) else out.pooler_output
    return vectors.float().cpu().numpy()
