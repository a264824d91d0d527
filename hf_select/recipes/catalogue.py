"""The table of recipes: what users type, which class it is, and what we measured."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

from hf_select.errors import HFSelectError, UnknownName, UsageError

if TYPE_CHECKING:
    from hf_select.recipes.recipe import Recipe

RECIPES: dict[str, str] = {
    "random": "random.RandomRows",
    "length": "length.Length",
    "perplexity": "perplexity.Perplexity",
    "ifd": "ifd.IFD",
    "el2n": "el2n.EL2N",
    "clip_score": "clip_score.ClipScore",
    "semdedup": "semdedup.SemDeDup",
    "typiclust": "typiclust.TypiClust",
    "self_sup": "self_sup.SelfSup",
    "d2": "d2.D2Pruning",
    "coincide": "coincide.Coincide",
    "prism": "prism.Prism",
    "scalselect": "scalselect.ScalSelect",
    "visnec": "visnec.VisNec",
    "dics": "dics.DICS",
    "mllm_selector": "mllm_selector.MLLMSelector",
    "presel": "presel.PreSel",
}
"""Name -> module.Class in this folder. A new recipe adds its line here; `hf-select run` and `ls recipes` follow."""

RUNS_OF_THEIR_OWN = ("mllm_selector", "presel")
"""Recipes that `run_scored` doesn't run, since they have stages of their own."""

_MEASURED = Path(__file__).with_name("measured.json")


@dataclass(frozen=True)
class Measured:
    """A recipe against random in our study, in points of 0 to 100.

    Attributes:
        diff: Mean difference.
        low: Lower end of the 95 % interval.
        high: Upper end.
        budget: Share of the pool, such as 0.15.
    """

    diff: float
    low: float
    high: float
    budget: float

    def render(self) -> str:
        """The difference with its interval."""
        return f"{self.diff:+.2f} points to random ({self.low:+.2f} to {self.high:+.2f}) at {self.budget:.0%}"


def recipe_names() -> tuple[str, ...]:
    """The names of all recipes, in the order of the catalogue."""
    return tuple(RECIPES)


def recipe_class(name: str) -> type[Recipe]:
    """The class called `name`.

    Raises:
        UnknownName: There is none.
    """
    if name not in RECIPES:
        raise UnknownName("recipe", name, RECIPES)
    module, _, title = RECIPES[name].rpartition(".")
    return getattr(importlib.import_module(f"hf_select.recipes.{module}"), title)


def recipe(name: str, **choices: Any) -> Recipe:
    """Make the recipe called `name` with these values of its fields.

    Raises:
        UnknownName: There is no recipe of that name.
        UsageError: A choice that it doesn't have, or can't have that value.
    """
    kind = recipe_class(name)
    known = [setting.name for setting in fields(kind)]
    hints = get_type_hints(kind)
    for choice, value in choices.items():
        if choice not in known:
            raise UsageError(f"{name} has no choice {choice!r}: it has {', '.join(known)}.")
        if not _fits(value, hints[choice]):
            kinds = str(hints[choice] if get_origin(hints[choice]) else hints[choice].__name__)
            raise UsageError(f"{choice} of {name} is {kinds.replace('typing.', '')}, not {value!r}.")
    return kind(**choices)


def measured(file: Path = _MEASURED) -> dict[str, Mapping[str, Measured]]:
    """What our study measured: recipe -> pool ("plain", "dirty") -> result; empty where nothing was measured yet.

    Raises:
        HFSelectError: The file that came with the package is damaged.
    """
    if not file.is_file():
        return {}
    try:
        told = json.loads(file.read_text("utf-8"))["recipes"]
        return {
            name: {pool: Measured(**{part: float(value) for part, value in one.items()}) for pool, one in pools.items()}
            for name, pools in told.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise HFSelectError(
            f"{file.name} of this installation can't be read ({error}): install hf_select again."
        ) from error


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value, as YAML gives it, is of the type that a field declares."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(_fits(value, part) for part in parts)
    if origin is Literal:
        return value in parts
    if origin is tuple:
        return isinstance(value, list | tuple) and len(value) == len(parts) and all(map(_fits, value, parts))
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return value is None if hint is NoneType else isinstance(value, hint)
