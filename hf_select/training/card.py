"""The model card of a fine-tune, written from the record and the settings alone."""

from __future__ import annotations

import re
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_select._version import __version__
from hf_select.hub.render import render_card
from hf_select.training.config import FitConfig
from hf_select.training.record import FitRecord

if TYPE_CHECKING:
    from torch import nn

    from hf_select.training.run import Names

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def facts(learner: nn.Module, names: Names, *, device: str, precision: str) -> dict[str, Any]:
    """Return what is worth knowing about a run beside its identity and result (JSON-able, no path of this machine)."""
    import torch

    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in learner.parameters()]
    packages = ("transformers", "torch", "accelerate", "peft", "datasets")
    return {
        "model": shown_name(names.model),
        "pool": None if names.pool is None else shown_name(names.pool),
        "parameters": sum(size for size, _ in sizes),
        "learning": sum(size for size, learns in sizes if learns),
        "device": torch.cuda.get_device_name() if device == "cuda" else device,
        "precision": precision,
        "versions": {"hf_select": __version__} | {name: metadata.version(name) for name in packages},
    }


def write_card(out: Path, record: FitRecord, config: FitConfig, names: Names) -> None:
    """Write `README.md` of the checkpoint in `out` from a finished `record`."""
    from huggingface_hub import ModelCardData

    about = record.details
    assert record.result is not None
    data = ModelCardData(
        base_model=names.model if is_hub_id(names.model) else None,
        datasets=[names.pool] if names.pool is not None and is_hub_id(names.pool) else None,
        license=names.license,
        library_name="peft" if config.keep_adapter else "transformers",
        pipeline_tag="image-text-to-text",
        tags=["hf_select"],
    )
    card = render_card(
        "model.md.jinja",
        metadata=data.to_dict(),
        model=about["model"],
        model_commit=record.identity["model"].get("commit"),
        pool=about["pool"],
        pool_revision=names.pool_revision,
        result=record.result,
        settings=asdict(config) | {"lr": config.peak_lr, "lora_alpha": config.alpha or None},
        config=config,
        about=about,
    )
    (out / "README.md").write_text(card, "utf-8")


def is_hub_id(name: str) -> bool:
    """Whether `name` is of the form owner/name and isn't a folder here."""
    return _HUB_ID.fullmatch(name) is not None and not Path(name).exists()


def shown_name(name: str) -> str:
    """Return what a public card may say: a Hub id as it is, of a local path its last part."""
    return name if is_hub_id(name) else Path(name).name
