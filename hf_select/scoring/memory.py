"""Models that a caller already holds in memory, named by a digest so that a scorer stays plain configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hf_select.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, ProcessorMixin

_PREFIX = "memory:"
_HELD: dict[str, tuple[PreTrainedModel, ProcessorMixin]] = {}


def remember(model: PreTrainedModel, processor: ProcessorMixin) -> str:
    """Hold a model and its processor, and return the name a scorer uses for them: a digest of both.

    Modes (train or eval) don't enter. Raises `UsageError` if the processor can't write prompts.
    """
    import xxhash

    from hf_select.scoring.model import check_processor

    check_processor(processor, "this model")
    digest = xxhash.xxh3_128()
    parts = (model.config.to_json_string(), processor.to_json_string(), str(processor.chat_template))
    for text in (*parts, processor.tokenizer.backend_tokenizer.to_str()):
        digest.update(text.encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(_bytes(tensor))
    name = _PREFIX + digest.hexdigest()
    _HELD[name] = (model, processor)
    return name


def is_remembered(model: str) -> bool:
    """Whether a scorer's `model` names one in memory rather than a folder or a Hub id."""
    return model.startswith(_PREFIX)


def recall(name: str) -> tuple[PreTrainedModel, ProcessorMixin]:
    """Return what `remember` held, or say why another process can't have it."""
    if name not in _HELD:
        raise UsageError(
            "this scorer was made from a model in memory, which this process doesn't have: save model and processor "
            "to a folder and give its path."
        )
    return _HELD[name]


def _bytes(tensor: Tensor) -> memoryview:
    import torch

    return memoryview(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
