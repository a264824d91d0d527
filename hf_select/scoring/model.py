"""Loading a vision-language model and its processor: one way for scoring, training and evaluation."""

from __future__ import annotations

import json
import logging
import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hf_select.errors import UnknownName, UsageError, require

if TYPE_CHECKING:
    from transformers import PreTrainedModel, ProcessorMixin

logger = logging.getLogger(__name__)

Dtype = Literal["auto", "float32", "bfloat16"]
DTYPES = ("auto", "float32", "bfloat16")

_SANE_WINDOW = 1_000_000
_NO_BFLOAT16 = ("DEFAULT", "AVX2")
LOAD_ERRORS = (OSError, ValueError, ImportError, KeyError, RuntimeError)


def load_vlm(
    model: str,
    revision: str | None = None,
    adapter: str | None = None,
    dtype: Dtype = "auto",
    device: str | None = None,
    trust_remote_code: bool = False,
    *,
    adapter_revision: str | None = None,
) -> tuple[PreTrainedModel, ProcessorMixin]:
    """Load any image-text-to-text checkpoint from safetensors, in evaluation mode, with its processor.

    Args:
        model: Hub id or local folder; a folder that holds only a peft adapter stands for its base model plus itself.
        revision: Branch, tag or commit of a Hub id.
        adapter: Local folder or Hub id of a peft adapter, merged into the weights.
        dtype: "float32", "bfloat16", or "auto" (see `resolve_dtype`).
        device: "cpu", "cuda", "cuda:1", "mps"; None takes the best there is.
        trust_remote_code: Whether code of the checkpoint may run.
        adapter_revision: Branch, tag or commit of a Hub adapter.

    Warns in the log when bfloat16 is asked of a CPU that only emulates it.

    Returns:
        The model on its device, and the processor, which has a chat template and a fast tokenizer.

    Raises:
        UsageError: If the checkpoint can't be used, with what to do.
        MissingExtra: If torch, transformers or peft is not installed.
    """
    torch = require("torch", "models")
    transformers = require("transformers", "models")
    model, adapter = base_and_adapter(model, adapter)
    processor = load_processor(model, revision, trust_remote_code)
    device = device or best_device()
    _warn_of_emulation(resolve_dtype(dtype, device), device)
    try:
        loaded, info = transformers.AutoModelForImageTextToText.from_pretrained(
            model,
            revision=revision,
            dtype=getattr(torch, resolve_dtype(dtype, device)),
            use_safetensors=True,
            trust_remote_code=trust_remote_code,
            output_loading_info=True,
        )
    except LOAD_ERRORS as error:
        raise _unusable(model, error) from error
    if info["missing_keys"]:
        some = ", ".join(sorted(info["missing_keys"])[:3])
        raise UsageError(
            f"{model} has no weights for {len(info['missing_keys'])} tensors of {type(loaded).__name__} ({some}, ...): "
            "it is no complete checkpoint of this kind, give the id or folder of one."
        )
    if adapter is not None:
        loaded = _merged(loaded, adapter, adapter_revision)
    return loaded.to(device).eval(), processor


def load_processor(model: str, revision: str | None = None, trust_remote_code: bool = False) -> ProcessorMixin:
    """Load the processor alone (no weights) and check that prompts can be written with it.

    Raises:
        UsageError: If there is no chat template, or no fast tokenizer.
    """
    transformers = require("transformers", "models")
    require("torch", "models")
    model, _ = base_and_adapter(model, None)
    try:
        processor = transformers.AutoProcessor.from_pretrained(
            model, revision=revision, trust_remote_code=trust_remote_code
        )
    except LOAD_ERRORS as error:
        raise _unusable(model, error) from error
    check_processor(processor, model)
    return processor


def check_processor(processor: Any, name: str) -> None:
    """Raise `UsageError` unless `processor` can write prompts and map characters to tokens."""
    if not isinstance(processor, require("transformers", "models").ProcessorMixin):
        raise UsageError(f"{name} has no processor for pictures and text: give a vision-language checkpoint.")
    if not processor.chat_template:
        raise UsageError(
            f"the processor of {name} has no chat template, so its prompts can't be written: take the "
            "instruction-tuned checkpoint, or save one beside the model (processor.chat_template = ...; "
            "processor.save_pretrained(folder))."
        )
    if not processor.tokenizer.is_fast:
        raise UsageError(f"{name} has only a slow tokenizer, which can't say where answers lie: install tokenizers.")


def base_and_adapter(model: str, adapter: str | None) -> tuple[str, str | None]:
    """Return the base model and the adapter that `model` (possibly an adapter's own folder) and `adapter` mean."""
    config = Path(model) / "adapter_config.json"
    if not config.is_file() or (Path(model) / "config.json").is_file():
        return model, adapter
    if adapter is not None:
        raise UsageError(f"{model} is an adapter itself, so adapter={adapter!r} can't be added: give its base model.")
    return str(json.loads(config.read_text(encoding="utf-8"))["base_model_name_or_path"]), model


def best_device() -> str:
    """Return "cuda", "mps" or "cpu", the first that torch can use."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def resolve_dtype(dtype: Dtype, device: str | None = None) -> str:
    """Return "float32" or "bfloat16"; "auto" is bfloat16 on CUDA devices and float32 elsewhere.

    Answers without importing torch, because the answer is part of a scorer's identity and a cached result must not
    cost an import.
    """
    if dtype not in DTYPES:
        raise UnknownName("dtype", dtype, DTYPES)
    if dtype != "auto":
        return dtype
    cuda = _cuda_expected() if device is None else str(device).startswith("cuda")
    return "bfloat16" if cuda else "float32"


def context_window(model: Any, tokenizer: Any) -> int:
    """Return how many tokens a row may have: the text model's positions, or the tokenizer's limit if that is less."""
    positions = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    limits = [n for n in (positions, tokenizer.model_max_length) if n is not None and 0 < n < _SANE_WINDOW]
    return int(min(limits)) if limits else _SANE_WINDOW


def _warn_of_emulation(dtype: str, device: str) -> None:
    import torch

    # Measured on an AVX2 machine: bfloat16 matrix products run at a fortieth of float32's speed.
    emulated = platform.machine() in ("x86_64", "AMD64") and torch.backends.cpu.get_cpu_capability() in _NO_BFLOAT16
    if dtype == "bfloat16" and device == "cpu" and emulated:
        logger.warning("this CPU has no bfloat16 arithmetic and emulates it many times slower: use float32 here")


def _cuda_expected() -> bool:
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1") or sys.platform == "darwin":
        return False
    try:
        build = metadata.version("torch")
    except metadata.PackageNotFoundError:
        return False
    return "+cpu" not in build and Path("/proc/driver/nvidia/version").exists()


def _merged(model: PreTrainedModel, adapter: str, revision: str | None) -> PreTrainedModel:
    peft = require("peft", "models")
    folder = Path(adapter)
    if not folder.is_dir():
        from huggingface_hub import snapshot_download

        wanted = ["adapter_config.json", "adapter_model.safetensors"]
        folder = Path(snapshot_download(adapter, revision=revision, allow_patterns=wanted))
    if not (folder / "adapter_model.safetensors").is_file():
        raise UsageError(f"the adapter {adapter} has no adapter_model.safetensors: other weight files aren't loaded.")
    try:
        return peft.PeftModel.from_pretrained(model, folder).merge_and_unload()
    except (ValueError, RuntimeError, KeyError) as error:
        raise UsageError(f"the adapter {adapter} doesn't fit this model: {first_line(error)}") from error


def _unusable(model: str, error: Exception) -> UsageError:
    return UsageError(f"{model} can't be loaded as a vision-language model from safetensors: {first_line(error)}")


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, for one sentence about it."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:300]
