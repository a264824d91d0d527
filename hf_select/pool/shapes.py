"""The Arrow type of a JSON column from all its values, chosen so that no value changes.

One type throughout (texts, integers of 64 bits, floats, true/false, lists, objects with the same keys) becomes that
type; anything mixed becomes `datasets.Json`. Integers are never made floats and texts are never parsed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datasets.features.features import FeatureType

_SCALARS = {str: "string", int: "int64", float: "float64", bool: "bool"}
_INT64 = range(-(2**63), 2**63)


@dataclass(frozen=True)
class Shape:
    """A column's type so far.

    Attributes:
        kind: "null" (nothing but nulls yet), "string", "int64", "float64", "bool", "list", "struct" or "json".
        item: What a list holds.
        fields: What a struct holds, by name.
    """

    kind: str
    item: Shape | None = None
    fields: dict[str, Shape] | None = None


NULL = Shape("null")
JSON = Shape("json")


def fits(value: Any, shape: Shape) -> bool:
    """Whether a value can be stored in a column of this shape, and come back equal."""
    if value is None or shape is JSON:
        return True
    if shape.kind == "list":
        return type(value) is list and all(fits(item, shape.item) for item in value)
    if shape.kind == "struct":
        return (
            type(value) is dict
            and value.keys() == shape.fields.keys()
            and all(fits(value[name], field) for name, field in shape.fields.items())
        )
    return _SCALARS.get(type(value)) == shape.kind and (shape.kind != "int64" or value in _INT64)


def shape_of(value: Any, *, check_text: bool = False) -> Shape:
    """The narrowest shape of one value; with `check_text`, texts with lone surrogates are "json"."""
    if value is None:
        return NULL
    if isinstance(value, list):
        item = NULL
        for entry in value:
            item = merged(item, shape_of(entry, check_text=check_text))
        return JSON if item is JSON else Shape("list", item)
    if isinstance(value, dict):
        fields = {name: shape_of(entry, check_text=check_text) for name, entry in value.items()}
        plain = fields and all(shape is not JSON for shape in fields.values())
        return Shape("struct", fields=fields) if plain and not any(map(_is_odd_name, fields)) else JSON
    if isinstance(value, int) and not isinstance(value, bool) and value not in _INT64:
        return JSON
    if check_text and isinstance(value, str) and _has_surrogate(value):
        return JSON
    return Shape(_SCALARS[type(value)])


def merged(first: Shape, second: Shape) -> Shape:
    """The narrowest shape that both fit."""
    if first.kind == "null" or first == second:
        return second
    if second.kind == "null":
        return first
    if first.kind == second.kind == "list":
        item = merged(first.item, second.item)
        return JSON if item is JSON else Shape("list", item)
    if first.kind == second.kind == "struct" and first.fields.keys() == second.fields.keys():
        fields = {name: merged(shape, second.fields[name]) for name, shape in first.fields.items()}
        return JSON if JSON in fields.values() else Shape("struct", fields=fields)
    return JSON


def feature_of(shape: Shape) -> FeatureType:
    """The `datasets` feature of a shape; a column of nulls alone is one of texts."""
    from datasets import Json, List, Value

    if shape.kind == "list":
        return List(feature_of(shape.item))
    if shape.kind == "struct":
        return {name: feature_of(field) for name, field in shape.fields.items()}
    if shape.kind == "json":
        return Json()
    return Value("string" if shape.kind == "null" else shape.kind)


def _has_surrogate(text: str) -> bool:
    return not text.isascii() and any("\ud800" <= sign <= "\udfff" for sign in text)


def _is_odd_name(name: str) -> bool:
    return _has_surrogate(name) or "\0" in name
