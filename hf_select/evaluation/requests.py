"""From a request of lmms-eval to a row: the document looked up, its pictures and texts in a user's message."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from hf_select.errors import HFSelectError, UsageError
from hf_select.pool.images import RowImage
from hf_select.pool.row import IMAGE, Message, Part, Row

_ROLES = ("system", "user", "assistant")


@dataclass(frozen=True)
class Decoding:
    """How an answer is made, beside the prompt: what requests must share to be answered in one batch.

    Attributes:
        max_new_tokens: Longest answer in tokens.
        until: The answer ends before the first of these texts.
        sample: Whether tokens are drawn; greedy otherwise.
        temperature: Of the draw; None for the model's own.
        top_p: Of the draw; None for the model's own.
        num_beams: Beams of the search.
    """

    max_new_tokens: int
    until: tuple[str, ...] = ()
    sample: bool = False
    temperature: float | None = None
    top_p: float | None = None
    num_beams: int = 1

    @classmethod
    def of(cls, asked: Mapping[str, Any], *, default: int, most: int) -> Decoding:
        """Read a task's `generation_kwargs`; keys that don't concern `generate` (image_aspect_ratio) are left alone.

        Args:
            asked: What the task asks.
            default: `max_new_tokens` where the task gives none.
            most: The model's window, which no answer can pass.
        """
        until = asked.get("until") or ()
        length = min(int(asked.get("max_new_tokens") or default), most)
        temperature = float(asked.get("temperature") or 0)
        beams = int(asked.get("num_beams") or 1)
        stops = (until,) if isinstance(until, str) else tuple(text for text in until if text)
        if asked.get("do_sample") is not True or ("temperature" in asked and temperature == 0):
            return cls(length, stops, num_beams=beams)
        top_p = None if asked.get("top_p") is None else float(asked["top_p"])
        return cls(length, stops, True, temperature or None, top_p, beams)

    @property
    def options(self) -> dict[str, Any]:
        """Settings for `generate`."""
        given = {"temperature": self.temperature, "top_p": self.top_p}
        drawn = {name: value for name, value in given.items() if value is not None} if self.sample else {}
        return {"do_sample": self.sample, "num_beams": self.num_beams, **drawn}

    def cut(self, text: str) -> str:
        """Return `text` up to the first of `until`, stripped."""
        for stop in self.until:
            text = text.split(stop, 1)[0]
        return text.strip()


@dataclass(frozen=True)
class Asked:
    """One question of a task.

    Attributes:
        task: The task.
        doc_id: Number of the document in the task's split.
        row: The prompt as a row: `row.key` is a digest over its pictures and texts.
        decoding: How the answer is made.
    """

    task: str
    doc_id: int
    row: Row
    decoding: Decoding


def document(task_dict: Mapping[str, Any], task: str, split: str, doc_id: int) -> dict[str, Any]:
    """Return a document with its pictures decoded.

    Raises:
        HFSelectError: It can't be read.
    """
    try:
        return task_dict[task][split][doc_id]
    except (OSError, ValueError, SyntaxError) as error:
        told = " ".join(str(error).split())[:200]
        raise HFSelectError(f"document {doc_id} of {task} can't be read ({told}): get its data anew.") from error


def row_of_messages(messages: Sequence[Mapping[str, Any]], task: str, doc_id: int) -> Row:
    """Make the row of a chat prompt: messages with texts and pictures in order."""
    made, images = [], []
    for message in messages:
        content = message["content"]
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        built = []
        for part in parts:
            if part["type"] == "text":
                built.append(Part(part["text"]))
            else:
                images.append(_picture(part.get("url", part.get("image")), part["type"], task))
                built.append(IMAGE)
        if message["role"] not in _ROLES:
            raise UsageError(f"{task} has a message of {message['role']!r}: known are {', '.join(_ROLES)}.")
        made.append(Message(message["role"], tuple(built)))
    return Row(tuple(made), tuple(images), task=task, id=_name(task, doc_id))


def row_of_text(visuals: Sequence[Any] | None, text: str, task: str, doc_id: int, answer: str | None = None) -> Row:
    """Make the row of a simple prompt: all pictures, then the text; `answer` is the assistant's, where there is one."""
    images = tuple(_picture(visual, "visual", task) for visual in visuals or ())
    messages = [Message("user", (*[IMAGE] * len(images), Part(text)))]
    if answer is not None:
        messages.append(Message("assistant", (Part(answer),)))
    return Row(tuple(messages), images, task=task, id=_name(task, doc_id))


def _name(task: str, doc_id: int) -> str:
    return f"{task}/{doc_id}"


def _picture(value: Any, kind: str, task: str) -> RowImage:
    if kind in ("image", "visual") and isinstance(value, Image.Image | str | os.PathLike):
        return RowImage.of(value)
    raise UsageError(
        f"{task} shows a {kind} of type {type(value).__name__}: this adapter takes pictures and text only."
    )
