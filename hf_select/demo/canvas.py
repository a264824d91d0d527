"""One small picture with two layers: pixels, and what stands in each patch of the model's vision tower.

The side is 112 pixels and a patch 14, so a picture is 8 x 8 patches and a line of text is a row of patches with two
characters in each. Text on the grid of patches is what lets a model of two million parameters read.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from hf_select.demo.words import CHARACTERS, COLORS, PRINTED, SHAPES
from hf_select.errors import require

if TYPE_CHECKING:
    from collections.abc import Sequence

SIDE = 112
PATCH = 14
GRID = SIDE // PATCH
STEP = PATCH // 2
"""Width of a character, and of the steps of a bar, in pixels."""

COLUMNS = 2 * GRID
"""Characters in a line of text."""

LAYERS = {
    "shape": len(SHAPES) + 1,
    "color": len(COLORS) + 1,
    "left": len(CHARACTERS) + 1,
    "right": len(CHARACTERS) + 1,
    "word": len(PRINTED) + 1,
    "key": len(PRINTED) + 1,
}
"""Layers of patch labels and how many classes each has; class 0 means nothing of that kind."""

_SHAPE = {name: index + 1 for index, name in enumerate(SHAPES)}
_COLOR = {name: index + 1 for index, name in enumerate(COLORS)}
_CHARACTER = {name: index + 1 for index, name in enumerate(CHARACTERS)}
_WORD = {name: index + 1 for index, name in enumerate(PRINTED)}


@lru_cache
def _font() -> ImageFont.FreeTypeFont:
    path = require("matplotlib", "report").get_data_path()
    return ImageFont.truetype(f"{path}/fonts/ttf/DejaVuSansMono-Bold.ttf", 11)


def _polygon(shape: str, x: float, y: float, r: float) -> list[tuple[float, float]]:
    if shape == "triangle":
        corners = [(0.0, -1.0), (1.0, 0.9), (-1.0, 0.9)]
    elif shape == "diamond":
        corners = [(0.0, -1.15), (0.8, 0.0), (0.0, 1.15), (-0.8, 0.0)]
    elif shape == "cross":
        a = 0.33
        corners = [(-a, -1), (a, -1), (a, -a), (1, -a), (1, a), (a, a), (a, 1), (-a, 1), (-a, a), (-1, a), (-1, -a)]
        corners.append((-a, -a))
    else:
        angles = np.pi / 5 * np.arange(10) - np.pi / 2
        radii = np.where(np.arange(10) % 2 == 0, 1.15, 0.48)
        corners = list(zip(radii * np.cos(angles), radii * np.sin(angles), strict=True))
    return [(x + r * u, y + r * v) for u, v in corners]


class Canvas:
    """A 112 x 112 RGB picture and its 8 x 8 patch labels (`labels[layer]`, int64, 0 = nothing)."""

    def __init__(self, background: tuple[int, int, int]) -> None:
        self.image = Image.new("RGB", (SIDE, SIDE), background)
        self.labels = {layer: np.zeros((GRID, GRID), np.int64) for layer in LAYERS}
        self._draw = ImageDraw.Draw(self.image)

    def shape(self, shape: str, color: str, center: tuple[float, float], radius: float) -> None:
        """Draw one filled shape; the four patches around the corner nearest to its center are labelled."""
        x, y = center
        rgb = COLORS[color]
        if shape in ("circle", "square"):
            box = (x - radius, y - radius, x + radius, y + radius)
            (self._draw.ellipse if shape == "circle" else self._draw.rectangle)(box, fill=rgb)
        else:
            self._draw.polygon(_polygon(shape, x, y, radius), fill=rgb)
        row, column = round(y / PATCH), round(x / PATCH)
        self.labels["shape"][row - 1 : row + 1, column - 1 : column + 1] = _SHAPE[shape]
        self.labels["color"][row - 1 : row + 1, column - 1 : column + 1] = _COLOR[color]

    def text(
        self,
        line: int,
        column: int,
        text: str,
        ink: tuple[int, int, int],
        *,
        shift: Sequence[int] = (0, 0),
        key: str | None = None,
    ) -> None:
        """Write `text` on the grid, its first character at `column` of `line`, `shift` pixels off.

        `key` is the printed word that names this text, such as "total" for a sum.
        """
        for word_start, word in _words(text):
            for offset, character in enumerate(word):
                at = column + word_start + offset
                place = (at * STEP + shift[0], line * PATCH + shift[1])
                self._draw.text(place, character, fill=ink, font=_font())
                self.labels["right" if at % 2 else "left"][line, at // 2] = _CHARACTER[character]
                self.labels["word"][line, at // 2] = _WORD.get(word, 0)
                self.labels["key"][line, at // 2] = _WORD.get(key, 0)

    def bar(self, left: int, width: int, bottom: int, steps: int, color: str, key: str) -> None:
        """Draw an upright bar `steps` steps of 7 pixels high, named by `key`.

        A step stands for 5, and the patches of the bar's upper end are labelled as if its value were printed there.
        """
        top = bottom - STEP * steps
        self._draw.rectangle((left, top, left + width - 1, bottom - 1), fill=COLORS[color])
        columns = slice(left // PATCH, (left + width - 1) // PATCH + 1)
        self.labels["color"][top // PATCH : bottom // PATCH, columns] = _COLOR[color]
        for layer, digit in zip(("left", "right"), f"{5 * steps:02d}", strict=True):
            self.labels[layer][top // PATCH, columns] = _CHARACTER[digit]
        self.labels["key"][top // PATCH, columns] = _WORD[key]

    def tick(self, y: int, text: str, ink: tuple[int, int, int]) -> None:
        """Write a mark of the upright axis, which has no label."""
        self._draw.text((0, y - STEP), text, fill=ink, font=_font())

    def line(self, start: tuple[int, int], end: tuple[int, int], ink: tuple[int, int, int]) -> None:
        """Draw a thin line, which has no label."""
        self._draw.line((*start, *end), fill=ink)


def _words(text: str) -> list[tuple[int, str]]:
    found, at = [], 0
    for word in text.split(" "):
        if word:
            found.append((at, word))
        at += len(word) + 1
    return found
