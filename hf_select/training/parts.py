"""Which parameters of a vision-language model learn: language model, projector, vision tower, or adapters."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from hf_select.errors import UsageError, require
from hf_select.training.config import FitConfig

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

_MERGER = "merger"
"""Qwen's projectors live inside the vision tower, in modules of this name."""


def part_of_parameters(model: PreTrainedModel) -> dict[str, str]:
    """Return {parameter name: "language", "vision" or "projector"}.

    The language model is the decoder with input embeddings and output head, the vision tower is what
    `get_encoder("image")` finds; the rest joins the two: projectors, connectors, mergers, image separators.

    Raises:
        UsageError: The model has no image encoder that transformers can name.
    """
    vision, language = _module_names(model)
    head = _name_of(model, model.get_output_embeddings())
    found = {}
    for name, _ in model.named_parameters():
        if name.startswith((f"{language}.", f"{head}.")):
            found[name] = "language"
        elif name.startswith(f"{vision}.") and _MERGER not in name:
            found[name] = "vision"
        else:
            found[name] = "projector"
    return found


def choose_parameters(model: PreTrainedModel, config: FitConfig) -> nn.Module:
    """Freeze what must not learn and add adapters where the config asks for them; returns the model to train.

    LoRA (arXiv 2106.09685) goes on every linear layer of the decoder, not on the output head. With `train="all"` the
    projector then learns in full beside the adapters, as in LLaVA's own LoRA recipe; parameters of the projector
    that belong to no module (LLaVA-NeXT's image separator) stay frozen under LoRA.
    """
    parts = part_of_parameters(model)
    if config.lora_rank:
        return _with_adapters(model, parts, config)
    learning = {"language": {"language"}, "projector": {"projector"}}.get(config.train, {"language", "projector"})
    if not config.freeze_vision:
        learning = learning | {"vision"}
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(parts[name] in learning)
    return model


def parameter_groups(model: nn.Module, parts: dict[str, str], config: FitConfig) -> list[dict[str, Any]]:
    """Return AdamW's groups: learning rate by part, decay for matrices only; empty groups left out."""
    groups: dict[tuple[float, float], list[Any]] = {}
    projector_lr = config.projector_lr if config.projector_lr is not None else config.peak_lr
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        lr = projector_lr if parts.get(_plain_name(name)) == "projector" else config.peak_lr
        decay = config.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((lr, decay), []).append(parameter)
    return [{"params": found, "lr": lr, "weight_decay": decay} for (lr, decay), found in groups.items()]


def _with_adapters(model: PreTrainedModel, parts: dict[str, str], config: FitConfig) -> nn.Module:
    peft = require("peft", "models")
    from torch import nn

    _, language = _module_names(model)
    inside = {name: module for name, module in model.named_modules() if name.startswith(f"{language}.")}
    leaves = sorted({name.rsplit(".", 1)[1] for name, module in inside.items() if isinstance(module, nn.Linear)})
    projectors = {_projector_module(name) for name, part in parts.items() if part == "projector" and "." in name}
    modules = {name for name, _ in model.named_modules()}
    saved = sorted(projectors & modules) if config.train == "all" else None
    adapters = peft.LoraConfig(
        r=config.lora_rank,
        lora_alpha=config.alpha,
        lora_dropout=config.lora_dropout,
        target_modules=rf"{re.escape(language)}\..*\.({'|'.join(map(re.escape, leaves))})",
        modules_to_save=saved or None,
        task_type="CAUSAL_LM",
    )
    return peft.get_peft_model(model, adapters)


def _module_names(model: PreTrainedModel) -> tuple[str, str]:
    """Names of the vision tower and the decoder inside `model`."""
    vision, language = model.get_encoder(modality="image"), model.get_decoder()
    if vision is model or language is model or vision is model.base_model:
        raise UsageError(
            f"{type(model).__name__} has no vision tower and language model that transformers can tell apart:"
            " use an image-text-to-text checkpoint."
        )
    return _name_of(model, vision), _name_of(model, language)


def _name_of(model: nn.Module, wanted: nn.Module) -> str:
    return next(name for name, module in model.named_modules() if module is wanted)


def _projector_module(parameter: str) -> str:
    """The module to train as a whole: up to the merger's name, else the first two steps of the path."""
    steps = parameter.split(".")
    stop = next((i for i, step in enumerate(steps) if _MERGER in step), 1)
    return ".".join(steps[: stop + 1])


def _plain_name(name: str) -> str:
    """A parameter's name before peft wrapped it."""
    return re.sub(r"^base_model\.model\.|modules_to_save\.[^.]+\.|original_module\.", "", name)
