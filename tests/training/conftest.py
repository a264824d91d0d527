"""A tiny LLaVA and a pool of eight rows, four with a picture and four without, with one broken row to skip."""

from __future__ import annotations

import pytest
import tiny
from datasets import Dataset
from PIL import Image

COLOURS = {"Red": (255, 0, 0), "Blue": (0, 0, 255), "Green": (0, 160, 0), "Yellow": (255, 255, 0)}
WORDS = {"Say hi.": "Hi.", "Give a synonym of quick.": "Fast.", "And of slow?": "Sluggish.", "One or two?": "Two"}


@pytest.fixture(scope="session")
def llava(tmp_path_factory):
    """The folder of a tiny random LLaVA."""
    return tiny.llava(tmp_path_factory.mktemp("llava"))


@pytest.fixture(scope="session")
def rows(tmp_path_factory):
    """The rows of the pool as dicts, LLaVA's schema."""
    folder = tmp_path_factory.mktemp("pictures")
    made = []
    for name, colour in COLOURS.items():
        Image.new("RGB", (56, 56), colour).save(folder / f"{name}.png")
        made.append(_row(f"{folder / name}.png", "<image>\nWhat colour is the square?", f"{name}."))
    return made + [_row(None, question, answer) for question, answer in WORDS.items()]


@pytest.fixture(scope="session")
def pool(rows):
    """Eight usable rows."""
    return Dataset.from_list(rows)


@pytest.fixture(scope="session")
def broken():
    """Rows that can't be trained on: a missing picture, and an empty answer."""
    return [_row("absent/x.png", "<image>\nWhat is it?", "Red."), _row(None, "Say hi.", "")]


def _row(image, question, answer):
    turns = [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
    return {"id": question[:9], "image": image, "conversations": turns}
