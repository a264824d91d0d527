"""What the model is shown before each answer: one small function per context, and the table of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from hf_select.errors import UnknownName
from hf_select.pool.images import RowImage
from hf_select.pool.row import Message, Part, Row


@dataclass(frozen=True)
class Prompt:
    """Messages and the images for their image places, in order; the assistant's texts are the row's answers."""

    messages: tuple[Message, ...]
    images: tuple[RowImage, ...]


def full(row: Row) -> Prompt:
    """The row as it is, up to its last answer: what comes after can't change an answer's loss."""
    supervised = (i for i, m in enumerate(row.messages) if m.role == "assistant" and m.supervised)
    last = max(supervised, default=-1)
    messages = row.messages[: last + 1]
    return Prompt(messages, row.images[: sum(m.n_images for m in messages)])


def no_question(row: Row) -> Prompt:
    """The user's texts dropped turn by turn: pictures, the system text, the answers and the order of roles stay.

    PreSel's code instead drops whole user turns and joins all answers of a row into one turn; turn by turn, both
    contexts have the same answer tokens and the roles always alternate (arXiv 2503.07591, IRS denominator).
    """
    prompt = full(row)
    return replace(prompt, messages=tuple(_without_text(m) if m.role == "user" else m for m in prompt.messages))


def no_image(row: Row) -> Prompt:
    """The pictures dropped and everything else kept."""
    messages = (replace(m, parts=tuple(p for p in m.parts if not p.is_image)) for m in full(row).messages)
    return Prompt(tuple(messages), ())


CONTEXTS: Mapping[str, Callable[[Row], Prompt]] = MappingProxyType(
    {"full": full, "no_question": no_question, "no_image": no_image}
)
"""Every context by name. A new one is a function here; what it returns must keep the assistant's texts."""


def known_context(name: str) -> str:
    """Return `name` if there is such a context, or raise `UnknownName`."""
    if name not in CONTEXTS:
        raise UnknownName("context", name, CONTEXTS)
    return name


def prompt_of(row: Row, context: str) -> Prompt:
    """Return the prompt of `row` in `context`, or raise `UnknownName`."""
    return CONTEXTS[known_context(context)](row)


def _without_text(message: Message) -> Message:
    return replace(message, parts=tuple(part for part in message.parts if part.is_image) or (Part(""),))
