"""The settings of a fine-tune as flags: every field of `FitConfig` becomes `--fit-NAME`."""

from __future__ import annotations

import dataclasses
from dataclasses import make_dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

from hf_select.cli.command import option
from hf_select.training.config import FitConfig

_PREFIX = "fit_"


def _flag(setting: dataclasses.Field, kind: Any) -> tuple[str, Any, Any]:
    choices = None
    if get_origin(kind) is Literal:
        kind, choices = str, get_args(kind)
    flag = option(setting.default, help=f"fits: {setting.metadata['help']}", choices=choices)
    return _PREFIX + setting.name, kind, flag


def _flags() -> list[tuple[str, Any, Any]]:
    kinds = get_type_hints(FitConfig)
    return [_flag(setting, kinds[setting.name]) for setting in dataclasses.fields(FitConfig) if setting.name != "seed"]


FitOptions = make_dataclass("FitOptions", _flags(), frozen=True, kw_only=True, namespace={"__module__": __name__})
"""One flag a setting, but for `seed`, which a recipe's own seed decides."""


def fit_config(options: Any, seed: int) -> FitConfig:
    """Return the `FitConfig` that the `--fit-...` flags of `options` and the recipe's `seed` say."""
    names = [setting.name for setting in dataclasses.fields(FitConfig) if setting.name != "seed"]
    return FitConfig(seed=seed, **{name: getattr(options, _PREFIX + name) for name in names})
