"""From the turns of any public chat form to one list of (role, content), and from content to texts and images.

Read are {from, value}, {role, content}, {human, assistant} and {user, assistant}; content is a text or typed parts
(Hub style, OpenAI and Anthropic), where nulls that Arrow fills in count as absent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hf_select.pool.images import RowImage
from hf_select.pool.row import Role

_ROLES: dict[str, Role] = {
    **dict.fromkeys(("user", "human", "observation", "tool", "function", "tool_response", "tool_result"), "user"),
    **dict.fromkeys(("assistant", "gpt", "model", "bot", "function_call", "tool_call"), "assistant"),
    **dict.fromkeys(("system", "developer"), "system"),
}
_TEXT_TYPES = {"text", "input_text", "output_text"}
_IMAGE_TYPES = {"image", "image_url", "input_image"}
_OTHER_MEDIA = ("video", "audio")


class RowFault(Exception):
    """A row that can't be read; carries the status, and a reason that follows the row's name in a sentence."""

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


@dataclass(frozen=True)
class Slot:
    """An image place of a typed part, with its image where the part holds it."""

    image: RowImage | None


@dataclass(frozen=True)
class Turn:
    """One turn before images are matched: a text (placeholders inside), or the pieces of typed parts."""

    role: Role
    content: str | tuple[str | Slot, ...]
    supervised: bool = True


def as_records(value: Any) -> list[Any]:
    """A list of records; a struct of equally long lists (how datasets stores `Sequence` of a dict) is turned over."""
    if value is None:
        return []
    if isinstance(value, Mapping):
        columns = list(value.values())
        if columns and all(isinstance(c, list) for c in columns) and len({len(c) for c in columns}) == 1:
            return [dict(zip(value, cells, strict=True)) for cells in zip(*columns, strict=True)]
        return [value]
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return list(value)
    raise RowFault("invalid", f"has turns of type {type(value).__name__} instead of a list")


def read_turns(value: Any, root: str | None) -> list[Turn]:
    """Read a conversation in any of the forms above.

    Raises:
        RowFault: "invalid" (unknown role, part or form) or "unsupported_modality" (video, audio).
    """
    turns: list[Turn] = []
    for record in as_records(value):
        if record is None:
            continue
        if not isinstance(record, Mapping):
            raise RowFault("invalid", f"has a turn of type {type(record).__name__} instead of an object")
        if record.get("from") is not None:
            turns.append(_turn(record["from"], record.get("value"), root))
        elif record.get("role") is not None:
            turns.append(_turn(record["role"], record.get("content"), root))
        elif "assistant" in record and ("human" in record or "user" in record):
            turns.append(_turn("user", record.get("human", record.get("user")), root))
            turns.append(_turn("assistant", record["assistant"], root))
        else:
            raise RowFault(
                "invalid", f"has a turn with the keys {str(sorted(record)):.120}; read are from/value and role/content"
            )
    return turns


def as_text(value: Any) -> str:
    """A text as it is, a number as Python writes it; raises `RowFault` for anything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return str(value)
    raise RowFault("invalid", f"has a value of type {type(value).__name__} where a text belongs")


def _turn(role: Any, content: Any, root: str | None) -> Turn:
    known = _ROLES.get(role.strip().lower()) if isinstance(role, str) else None
    if known is None:
        raise RowFault("invalid", f"has a turn of the role {role!r:.60}; known roles are {', '.join(sorted(_ROLES))}")
    return Turn(known, read_content(content, known, root))


def read_content(content: Any, role: Role, root: str | None) -> str | tuple[str | Slot, ...]:
    """Read a message's content: a text as it is, or typed parts as texts and slots."""
    if isinstance(content, str):
        return content
    if content is None:
        raise RowFault("invalid", f"has a turn of the {role} without any text")
    if isinstance(content, int | float):
        return as_text(content)
    return tuple(piece for part in as_records(content) if (piece := _part(part, role, root)) is not None)


def _part(part: Any, role: Role, root: str | None) -> str | Slot | None:
    if part is None or isinstance(part, str):
        return part
    if not isinstance(part, Mapping):
        raise RowFault("invalid", f"has a message part of type {type(part).__name__} instead of an object")
    kind = part.get("type") or _guess_type(part)
    if kind in _TEXT_TYPES:
        return "" if part.get("text") is None else as_text(part["text"])
    if kind in _IMAGE_TYPES:
        if role != "user":
            raise RowFault("invalid", f"has an image in a turn of the {role}; images are read in user turns only")
        return Slot(_inline_image(part, root))
    if any(word in str(kind) for word in _OTHER_MEDIA):
        raise RowFault(
            "unsupported_modality", f"has a message part of the type {kind!r:.60}; only images and texts are read"
        )
    raise RowFault("invalid", f"has a message part of the type {kind!r:.60}; known types are text, image and image_url")


def _guess_type(part: Mapping[str, Any]) -> str | None:
    return next((key for key in ("text", "image", "image_url", "video", "audio") if part.get(key) is not None), None)


def _inline_image(part: Mapping[str, Any], root: str | None) -> RowImage | None:
    for key in ("image", "image_url", "source", "url"):
        given = part.get(key)
        if isinstance(given, Mapping):
            found = _inline_image(given, root)
            if found is not None:
                return found
        elif given is not None:
            return RowImage.of(given, root)
    for key in ("base64", "data"):
        if isinstance(part.get(key), str):
            return RowImage.from_base64(part[key])
    if part.get("bytes") is not None or part.get("path") is not None:
        return RowImage.of(part, root)
    return None
