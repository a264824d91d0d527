"""What a scorer is, as text: the canonical form of its configuration, and how `datasets` is made to hash just that."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

from hf_select.errors import UsageError

_RUNTIME = "hf_select.runtime"
_REGISTERED: set[type] = set()


def runtime(default: Any) -> Any:
    """Declare a dataclass field that changes how a scorer runs but not what it gives (device, micro-batch).

    Such fields stay out of `Scorer.identity()`, so changing them never voids cached scores.
    """
    return dataclasses.field(default=default, metadata={_RUNTIME: True})


def is_runtime(field: dataclasses.Field[Any]) -> bool:
    """Whether a dataclass field was declared with `runtime`."""
    return field.metadata.get(_RUNTIME, False)


def canonical(value: Any, where: str) -> Any:
    """Return `value` as plain JSON types that are the same in every process, or raise naming the field.

    Allowed are str, int, float, bool, None, and lists, tuples, dicts with text keys and frozen dataclasses of them.
    A set has no order and anything else no stable text, so both are refused rather than hashed by chance.

    Args:
        value: A configuration value.
        where: The field's name, for the message.

    Raises:
        UsageError: For a value of another type, or a float that is not finite.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if math.isfinite(value):
            return float(value)
        raise UsageError(f"{where} is {value!r}: a scorer's numbers must be finite.")
    if isinstance(value, list | tuple):
        return [canonical(item, f"{where}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, Mapping):
        wrong = next((key for key in value if not isinstance(key, str)), None)
        if wrong is not None:
            raise UsageError(f"{where} has the key {wrong!r}: the keys of a scorer's configuration must be text.")
        return {str(key): canonical(item, f"{where}[{key!r}]") for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type) and type(value).__dataclass_params__.frozen:
        value.__reduce_ex__(4)  # the first pickle of an instance adds an attribute to its class, which changes its hash
        return {"class": class_path(type(value)), "config": configuration(value, where)}
    raise UsageError(
        f"{where} is a {type(value).__name__}: a scorer's configuration may hold text, numbers, true/false, None, and"
        " lists, tuples, dicts and frozen dataclasses of them; turn it into one of these (a set into a sorted list)."
    )


def configuration(instance: Any, where: str) -> dict[str, Any]:
    """Return the canonical values of a dataclass instance's fields, without its runtime fields."""
    return {
        field.name: canonical(getattr(instance, field.name), f"{where}.{field.name}")
        for field in dataclasses.fields(instance)
        if not is_runtime(field)
    }


def class_path(cls: type) -> str:
    """Return the importable name of a class."""
    return f"{cls.__module__}.{cls.__qualname__}"


def canonical_json(value: Any) -> str:
    """Write canonical values as one line of JSON that is the same in every process."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def hash_by_identity(cls: type) -> None:
    """Make `datasets` hash instances of exactly `cls` as (class, `identity()`), and nothing else of them.

    The class is part of it so that editing a class of a script or a notebook, which datasets hashes by value, is
    noticed; importable classes enter by name. Where datasets has no such hook, its hash also sees the runtime
    fields: more misses, never a wrong hit.
    """
    if cls in _REGISTERED:
        return
    try:
        from datasets.utils._dill import pklregister
    except ImportError:
        return

    @pklregister(cls)
    def _save(pickler: Any, scorer: Any) -> None:
        pickler.save_reduce(tuple, ([type(scorer), scorer.identity()],), obj=scorer)

    _REGISTERED.add(cls)
