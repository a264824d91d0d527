"""What the program draws: scattered shapes, receipts, forms and bar charts, each with the facts that are true of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from hf_select.demo.canvas import COLUMNS, PATCH, SIDE, STEP, Canvas
from hf_select.demo.words import CITIES, COLORS, FIELDS, FORMS, ITEMS, MONTHS, NAMES, SHAPES, SHOPS

PLACES = tuple(f"{row} {column}".strip() for row in ("top", "middle", "bottom") for column in ("left", "", "right"))

_CORNERS = ((1, 2), (4,), (6, 7))
"""Corners of patches where the center of a shape may lie, for the left (top), middle and right (bottom) cells."""


@dataclass(frozen=True)
class Scene:
    """A drawn picture and its facts.

    Attributes:
        canvas: Pixels and patch labels.
        objects: (place, color, shape) of each shape, in reading order.
        lines: The lines of text from top to bottom.
        entries: label -> value: a receipt's prices, a form's fields, a chart's bars (in order).
    """

    canvas: Canvas
    objects: tuple[tuple[str, str, str], ...] = ()
    lines: tuple[str, ...] = ()
    entries: dict[str, str] = field(default_factory=dict)


def _paper(rng: Random) -> Canvas:
    return Canvas((rng.randint(240, 255), rng.randint(240, 255), rng.randint(235, 255)))


def _ink(rng: Random) -> tuple[int, int, int]:
    return (rng.randint(0, 50), rng.randint(0, 50), rng.randint(0, 70))


def scatter(rng: Random, pairs: list[tuple[str, str]]) -> Scene:
    """Draw at most nine (color, shape) pairs, each in its own cell of a 3 x 3 grid, near a corner of patches."""
    canvas = _paper(rng)
    objects = []
    for place, (color, shape) in zip(sorted(rng.sample(range(9), len(pairs))), pairs, strict=True):
        corners = [rng.choice(_CORNERS[at]) for at in (place % 3, place // 3)]
        x, y = (PATCH * corner + rng.uniform(-1.5, 1.5) for corner in corners)
        canvas.shape(shape, color, (x, y), rng.uniform(10.5, 12.5))
        objects.append((PLACES[place], color, shape))
    return Scene(canvas, objects=tuple(objects))


def any_pairs(rng: Random, count: int) -> list[tuple[str, str]]:
    """Return `count` independent (color, shape) pairs."""
    return [(rng.choice(list(COLORS)), rng.choice(SHAPES)) for _ in range(count)]


def receipt(rng: Random) -> Scene:
    """Draw a shop's receipt: two or three items with prices below 33, and their total."""
    items = rng.sample(ITEMS, rng.choice((2, 3)))
    prices = [rng.randint(2, 32) for _ in items]
    entries = {name: str(price) for name, price in zip(items, prices, strict=True)}
    entries["total"] = str(sum(prices))
    return _written(rng, f"{rng.choice(SHOPS)} shop", entries, right=True)


def form(rng: Random) -> Scene:
    """Draw a letter, ticket, invoice or order with three or four named fields."""
    values = {
        "name": rng.choice(NAMES),
        "city": rng.choice(CITIES),
        "date": f"{rng.randint(1, 28)} {rng.choice(MONTHS)}",
        "room": str(rng.randint(10, 99)),
        "code": str(rng.randint(1000, 9999)),
    }
    kept = rng.sample(FIELDS, rng.choice((3, 4)))
    return _written(rng, rng.choice(FORMS), {name: values[name] for name in kept}, right=False)


def _written(rng: Random, title: str, entries: dict[str, str], *, right: bool) -> Scene:
    canvas, ink, shift = _paper(rng), _ink(rng), (rng.randint(0, 1), rng.randint(-1, 1))
    free = 8 - 1 - len(entries)
    gap = rng.randint(0, min(2, free))
    start = rng.randint(0, free - gap)
    canvas.text(start, 4, title, ink, shift=shift)
    lines = [title]
    for number, (label, value) in enumerate(entries.items()):
        line = start + 1 + gap + number
        column = COLUMNS - len(value) if right else 8
        canvas.text(line, 0, label, ink, shift=shift)
        canvas.text(line, column, value, ink, shift=shift, key=label)
        lines.append(f"{label} {value}")
    return Scene(canvas, lines=tuple(lines), entries=entries)


def chart(rng: Random) -> Scene:
    """Draw three bars of different heights (10 to 65 in steps of 5) over months, with marks at 20, 40 and 60."""
    canvas, ink = _paper(rng), _ink(rng)
    bottom = SIDE - PATCH
    for mark in (20, 40, 60):
        y = bottom - STEP * mark // 5
        canvas.line((PATCH, y), (SIDE, y), (205, 205, 205))
        canvas.tick(y, str(mark), ink)
    canvas.line((PATCH, 0), (PATCH, bottom), ink)
    canvas.line((PATCH, bottom), (SIDE, bottom), ink)
    first = rng.randrange(len(MONTHS) - 2)
    months = MONTHS[first : first + 3]
    steps = rng.sample(range(2, 14), 3)
    colors = [rng.choice(list(COLORS))] * 3 if rng.random() < 0.5 else rng.sample(list(COLORS), 3)
    for number, (month, step, color) in enumerate(zip(months, steps, colors, strict=True)):
        left = PATCH + 4 + number * 2 * PATCH
        canvas.bar(left, 22, bottom, step, color, month)
        canvas.text(7, 2 + 4 * number, month, ink)
    entries = {month: str(5 * step) for month, step in zip(months, steps, strict=True)}
    return Scene(canvas, entries=entries)
