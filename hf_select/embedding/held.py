"""Encoders that a caller holds in memory, under the identity the caller gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hf_select.errors import UsageError

if TYPE_CHECKING:
    from torch.nn import Module

    from hf_select.embedding.vision import Process

_PREFIX = "given:"


class Held(NamedTuple):
    """A module, what makes its input of a picture, and the length of its vectors."""

    module: Module
    processor: Process
    dim: int


_HELD: dict[str, Held] = {}


def hold(identity: str, held: Held) -> str:
    """Hold an encoder until the process ends, and return the name a scorer uses for it."""
    name = given_name(identity)
    _HELD[name] = held
    return name


def given_name(identity: str) -> str:
    """Return the name that stands for an identity; raises `UsageError` for an empty one."""
    if not identity.strip():
        raise UsageError("identity is empty: give a text that stands for this encoder's weights, such as 'my-net-v1'.")
    return _PREFIX + identity


def is_held(model: str) -> bool:
    """Whether a scorer's `model` names one in memory rather than a folder or a Hub id."""
    return model.startswith(_PREFIX)


def recall(name: str) -> Held:
    """Return what `hold` was given, or say why another process can't have it."""
    if name not in _HELD:
        raise UsageError(
            f"the encoder {name[len(_PREFIX) :]!r} is not in this process's memory: call ImageEmbedding.of(...) here"
            " first, or use num_proc=1."
        )
    return _HELD[name]
