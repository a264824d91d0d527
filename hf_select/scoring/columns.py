"""A column of scores that knows its Arrow type."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

_VECTOR = re.compile(r"fixed_size_list<(\w+)>\[([1-9]\d*)\]")
_LIST = re.compile(r"list<(\w+)>")


class TypedColumn(list):
    """A list of Python values that turns into an Arrow array of one fixed type.

    `Dataset.map` guesses a column's type from the first batch: whole numbers first, or only None, and a later batch
    fails; Python floats become float64. A list is what `map` accepts, `__arrow_array__` is what pyarrow asks first, so
    plain `map` gets the right type without `features=`. Values are rounded to the type at once (float32).
    """

    def __init__(self, values: Sequence[Any], dtype: str) -> None:
        self.arrow = pa.array(values, arrow_type(dtype))
        super().__init__(self.arrow.to_pylist())

    def __arrow_array__(self, type: pa.DataType | None = None) -> pa.Array:
        return self.arrow if type is None else self.arrow.cast(type)

    def __reduce__(self) -> tuple[type, tuple[list[Any]]]:
        return list, (list(self),)


def vector_type(dtype: str, dim: int) -> str:
    """Return the name of the type of vectors: `fixed_size_list<float32>[384]`, a `List` of datasets."""
    return f"fixed_size_list<{dtype}>[{dim}]"


def arrow_type(dtype: str) -> pa.DataType:
    """Return the Arrow type called `dtype` ("float32", "int32", "list<string>", "fixed_size_list<float32>[384]", ...).

    Raises:
        ValueError: If Arrow has no type of that name.
    """
    vector = _VECTOR.fullmatch(dtype)
    if vector is not None:
        return pa.list_(pa.type_for_alias(vector[1]), int(vector[2]))
    many = _LIST.fullmatch(dtype)
    if many is not None:
        return pa.list_(pa.type_for_alias(many[1]))
    return pa.type_for_alias(dtype)
