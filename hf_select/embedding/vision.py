"""Image encoders: the vision model of a checkpoint with its image processor, and pixels in, vectors out."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from hf_select.embedding.pooling import pooled_image
from hf_select.errors import UsageError, require
from hf_select.scoring.losses import evaluating
from hf_select.scoring.model import LOAD_ERRORS, first_line

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

Process = Callable[[Image.Image], Any]

PROCESS_ERRORS = (OSError, ValueError, TypeError, RuntimeError, ArithmeticError, LookupError)
_UNUSED = ("pooler.", "head.")
_GREY = Image.new("RGB", (256, 256), (128, 128, 128))


def load_vision(model: str, commit: str | None, dtype: str, device: str) -> tuple[Module, Any]:
    """Load the part of a checkpoint that sees, from safetensors, and its image processor (the one on Pillow).

    Of a model with several parts (CLIP, a vision-language model) the weights of its vision tower alone are read.

    Args:
        model: Hub id or local folder.
        commit: Commit of a Hub id.
        dtype: "float32" or "bfloat16".
        device: Where to put it.

    Raises:
        UsageError: If there is no image processor, no vision model, or weights are missing.
    """
    torch = require("torch", "models")
    transformers = require("transformers", "models")
    options = {"revision": commit, "dtype": getattr(torch, dtype), "use_safetensors": True}
    verbosity = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    try:
        # On Pillow everywhere: with torchvision installed the same picture would get other numbers.
        processor = transformers.AutoImageProcessor.from_pretrained(model, revision=commit, backend="pil")
        config = transformers.AutoConfig.from_pretrained(model, revision=commit)
        if "vision_config" in config.sub_configs:
            module, info = _load_tower(model, config, options)
        else:
            module, info = transformers.AutoModel.from_pretrained(model, output_loading_info=True, **options)
    except LOAD_ERRORS as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(
            f"{model} can't be loaded as an image encoder from safetensors: {first_line(error)}"
        ) from error
    finally:
        transformers.logging.set_verbosity(verbosity)
    missing = [key for key in info["missing_keys"] if not key.startswith(_UNUSED) and not key.endswith("mask_token")]
    if missing:
        raise UsageError(
            f"{model} has no weights for {len(missing)} tensors of {type(module).__name__} ({min(missing)}, ...): give"
            " the id or folder of a complete image encoder."
        )
    return module.to(device).eval(), processor


def _load_tower(model: str, config: Any, options: dict[str, Any]) -> tuple[Module, dict[str, Any]]:
    import torch
    import transformers

    with torch.device("meta"):
        whole = transformers.AutoModel.from_config(config)
    tower = whole.get_encoder("image")
    if tower is whole or not isinstance(tower, transformers.PreTrainedModel):
        raise UsageError(f"no vision tower is found in {model} ({type(whole).__name__}): give an image encoder.")
    name = next(name for name, module in whole.named_modules() if module is tower)
    strip = {rf"^(?:.*\.)?{name}\.(?:vision_model\.)?": ""}
    return type(tower).from_pretrained(
        model, config=tower.config, key_mapping=strip, output_loading_info=True, **options
    )


class VisionEncoder:
    """Pictures to arrays to vectors, with one encoder.

    Args:
        module: A vision model of transformers, or any module that takes a batch of arrays and returns (n, d),
            (n, tokens, d) or (n, d, height, width).
        processor: An image processor of transformers, or a function from a Pillow image to one array.
        pool: "cls" or "mean".
        layer: -1 for the last hidden state behind the final layer norm; -2, -3, ... for those before, as they are.
        name: What messages call the encoder.

    Raises:
        UsageError: If a grey picture doesn't get through, with what to change.
    """

    def __init__(self, module: Module, processor: Process, pool: str, layer: int, name: str) -> None:
        transformers = require("transformers", "models")
        self.module = module
        self.pool = pool
        self.layer = layer
        self.name = name
        self._processor = processor
        self._of_transformers = isinstance(processor, transformers.ImageProcessingMixin)
        self._config = module.config if isinstance(module, transformers.PreTrainedModel) else None
        self._norm: Module | None = None
        first = next((p for p in module.parameters() if p.is_floating_point()), None)
        self._placed = {} if first is None else {"device": first.device, "dtype": first.dtype}
        self.device = "cpu" if first is None else first.device.type
        self.dim = self._try()

    def evaluating(self) -> AbstractContextManager[None]:
        """Inside, no gradients and no dropout; afterwards the module is in the mode it was in."""
        return evaluating(self.module)

    def process(self, image: Image.Image) -> np.ndarray:
        """Turn a picture into what the module sees: float32 (views, ...), one view unless it is cut into tiles."""
        if not self._of_transformers:
            one = np.asarray(self._processor(image), dtype=np.float32)
            return one if one.ndim == 4 else one[None]
        views = np.asarray(self._processor(images=image, return_tensors="np")["pixel_values"], dtype=np.float32)
        return views[0] if views.ndim == 5 else views

    def vectors(self, views: np.ndarray) -> np.ndarray:
        """Return one vector a view, as pooled: (n, dim) float32. Call it inside `evaluating()`."""
        import torch

        pixels = torch.from_numpy(views).to(**self._placed)
        tokens = self._forward(pixels)
        if self._norm is not None and self.layer == -1:
            tokens = self._norm(tokens)
        return pooled_image(tokens, self.pool, self._places(views), self.name).cpu().numpy()

    def _forward(self, pixels: Tensor) -> Tensor:
        if self._config is None:
            out = self.module(pixels)
            return out.last_hidden_state if "last_hidden_state" in _names(out) else out
        out = self.module(pixel_values=pixels, output_hidden_states=self.layer != -1)
        return out.last_hidden_state if self.layer == -1 else out.hidden_states[self.layer]

    def _places(self, views: np.ndarray) -> int | None:
        patch = None if self._config is None else self._config.to_dict().get("patch_size")
        if patch is None or views.ndim != 4:
            return None
        high, wide = (patch, patch) if isinstance(patch, int) else patch
        return (views.shape[2] // high) * (views.shape[3] // wide)

    def _try(self) -> int:
        """Send a grey picture through, see whether the class leaves the final norm out, and return the dimension."""
        shapes: list[int] = []
        norms = [module for name, module in self.module.named_modules() if name.split(".")[-1] == "post_layernorm"]
        # CLIP's last_hidden_state is before its final norm, which only its pooler's single token goes through.
        hooks = [norm.register_forward_hook(lambda _, given, out: shapes.append(given[0].ndim)) for norm in norms[-1:]]
        try:
            with self.evaluating():
                vectors = self.vectors(self.process(_GREY))
        except (*PROCESS_ERRORS, AttributeError) as error:
            if isinstance(error, UsageError):
                raise
            raise UsageError(
                f"{self.name} can't embed pictures from pixel values alone, layer {self.layer}: {first_line(error)}"
            ) from error
        finally:
            for hook in hooks:
                hook.remove()
        self._norm = norms[-1] if shapes and set(shapes) == {2} else None
        return vectors.shape[1]


def _names(out: Any) -> set[str]:
    return set(out) if isinstance(out, dict) else set()
