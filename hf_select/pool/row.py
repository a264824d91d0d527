"""The row view: what every scorer, embedder and trainer sees of a row, whatever its public schema.

A `Row` is immutable and cheap: images are references that are opened on demand (`hf_select.pool.images`).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from hf_select.pool.images import RowImage

Role = Literal["system", "user", "assistant"]

OK = "ok"
"""Status of a row that can be used; every other status comes with a reason and without a number."""


@dataclass(frozen=True, slots=True)
class Part:
    """One piece of a message: a text, or the place of the row's next image (`text is None`)."""

    text: str | None

    @property
    def is_image(self) -> bool:
        """Whether this part stands for an image."""
        return self.text is None


IMAGE = Part(None)


@dataclass(frozen=True, slots=True)
class Message:
    """One message: who speaks, and texts and image places in order.

    An assistant message with `supervised=False` is context only: an answer in the prompt of a prompt/completion row.
    """

    role: Role
    parts: tuple[Part, ...]
    supervised: bool = True

    @property
    def text(self) -> str:
        """The message's texts joined without anything between them; image places leave nothing behind."""
        return "".join(part.text for part in self.parts if part.text is not None)

    @property
    def n_images(self) -> int:
        """How many image places the message has."""
        return sum(part.is_image for part in self.parts)


@dataclass(frozen=True)
class Row:
    """The canonical view of one pool row.

    Attributes:
        messages: System, user and assistant messages in order; image places stand in user messages only.
        images: As many references as there are image places, in the order of the places.
        task: The task label, or None where the row has none.
        id: The row's own id as text, for messages to people only; never used to join.
        status: `"ok"`, or why the row can't be used ("invalid", "image_missing", "image_unreadable",
            "unsupported_modality", ...).
        reason: One sentence for every status but "ok", else "".
        notes: What the reader had to decide for this row ("image_placed", "image_null", "leading_assistant",
            "trailing_user"); counted by `check_pool`, no part of the row key.
        content: A digest of the given row where no messages could be read from it, so that broken rows differ.
    """

    messages: tuple[Message, ...] = ()
    images: tuple[RowImage, ...] = ()
    task: str | None = None
    id: str | None = None
    status: str = OK
    reason: str = ""
    notes: tuple[str, ...] = ()
    content: str = ""

    @cached_property
    def key(self) -> str:
        """The row key: 32 hex digits over image bytes and messages, never over position, `id` or task.

        Equal rows have equal keys. Reads the bytes of every image once; an unreadable image enters by what was given.
        """
        content: dict[str, Any] = {
            "images": [image.digest for image in self.images],
            "messages": [[m.role, [p.text for p in m.parts]] for m in self.messages],
        }
        if not all(m.supervised for m in self.messages):
            content["context"] = [at for at, m in enumerate(self.messages) if not m.supervised]
        if not self.messages:
            content["broken"] = self.content or self.reason
        blob = json.dumps(content, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
        return hashlib.blake2b(blob.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()

    @property
    def turns(self) -> tuple[tuple[str, str], ...]:
        """(question, answer) pairs: each assistant message with the user text since the one before it."""
        pairs: list[tuple[str, str]] = []
        question: list[str] = []
        for message in self.messages:
            if message.role == "user":
                question.append(message.text)
            elif message.role == "assistant" and message.supervised:
                pairs.append(("\n".join(question), message.text))
                question = []
        return tuple(pairs)

    @property
    def answers(self) -> tuple[str, ...]:
        """The texts that carry loss, in order."""
        return tuple(m.text for m in self.messages if m.role == "assistant" and m.supervised)

    @property
    def text_only(self) -> bool:
        """Whether the row has no image."""
        return not self.images
