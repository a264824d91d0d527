"""Rows for tests of prompts and losses, written as the conversation they are."""

from __future__ import annotations

from PIL import Image, ImageDraw

from hf_select.pool.images import RowImage
from hf_select.pool.row import IMAGE, Message, Part, Row

ANSWER = "It is a Blue square, with some more words."


def picture(colour: str = "red", size: tuple[int, int] = (80, 60)) -> RowImage:
    """A picture with a black stroke, so that no tile of it is empty."""
    image = Image.new("RGB", size, colour)
    ImageDraw.Draw(image).line([(0, 0), size], fill="black", width=3)
    return RowImage.of(image)


def user(*parts: str | RowImage) -> tuple[Message, tuple[RowImage, ...]]:
    """One user message: texts and pictures in order."""
    images = tuple(part for part in parts if isinstance(part, RowImage))
    return Message("user", tuple(Part(p) if isinstance(p, str) else IMAGE for p in parts)), images


def chat(*turns: str | tuple, system: str | None = None, **fields) -> Row:
    """A row of alternating turns, the first one the user's; a user turn is a text or a tuple of texts and pictures."""
    messages = [Message("system", (Part(system),))] if system else []
    images: tuple[RowImage, ...] = ()
    for i, turn in enumerate(turns):
        if i % 2:
            messages.append(Message("assistant", (Part(turn),)))
        else:
            message, new = user(*(turn if isinstance(turn, tuple) else (turn,)))
            messages.append(message)
            images += new
    return Row(tuple(messages), images, **fields)


def mixed_rows() -> list[Row]:
    """Rows of many shapes: with, without and with several pictures, one turn and several, short and long."""
    return [
        chat((picture(), "What colour?"), "Red."),
        chat("Say hi.", "Hi.", "And of slow?", "Sluggish."),
        chat(
            (picture("blue", (30, 90)), "What colour is the square? Answer in one sentence."),
            ANSWER,
            system="Be brief.",
        ),
        chat((picture("green"), "Name it."), "Green.", ("And this?", picture("yellow", (64, 64))), "Yellow."),
        chat("Describe a fox.", "The quick brown fox jumps over the lazy dog."),
        chat("Hello", "Hi.", (picture(), "Colour?"), "Red."),
    ]
