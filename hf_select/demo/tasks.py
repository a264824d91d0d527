"""The eight tasks of the demo's pool: a picture, a question and its exact answer.

They differ in size (`SHARES`) and in how much a model still has to learn: naming a color takes few rows, reading a
bar's height or finding one field of a form takes many.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from hf_select.demo.scenes import any_pairs, chart, form, receipt, scatter
from hf_select.demo.words import COLORS, SHAPES

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class Example:
    """One picture (RGB, 112 x 112) with a question and its only right answer."""

    task: str
    image: Image
    question: str
    answer: str


def _color(rng: Random) -> tuple[Image, str, str]:
    shapes = rng.sample(SHAPES, rng.randint(1, 3))
    pairs = [(rng.choice(list(COLORS)), shape) for shape in shapes]
    scene = scatter(rng, pairs)
    return scene.canvas.image, f"What color is the {shapes[0]}?", pairs[0][0]


def _shape(rng: Random) -> tuple[Image, str, str]:
    colors = rng.sample(list(COLORS), rng.randint(1, 3))
    pairs = [(color, rng.choice(SHAPES)) for color in colors]
    scene = scatter(rng, pairs)
    return scene.canvas.image, f"What shape is {colors[0]}?", pairs[0][1]


def _present(rng: Random) -> tuple[Image, str, str]:
    pairs = any_pairs(rng, rng.randint(2, 4))
    color, shape = rng.choice(pairs)
    if rng.random() < 0.5:
        if rng.random() < 0.5:
            color = rng.choice([c for c in COLORS if (c, shape) not in pairs])
        else:
            shape = rng.choice([s for s in SHAPES if (color, s) not in pairs] or SHAPES)
    scene = scatter(rng, pairs)
    return scene.canvas.image, f"Is there a {color} {shape}?", "yes" if (color, shape) in pairs else "no"


def _count(rng: Random) -> tuple[Image, str, str]:
    wanted, others = rng.randint(1, 5), rng.randint(0, 3)
    shape = rng.choice(SHAPES)
    pairs = [(rng.choice(list(COLORS)), shape) for _ in range(wanted)]
    pairs += [(rng.choice(list(COLORS)), rng.choice([s for s in SHAPES if s != shape])) for _ in range(others)]
    rng.shuffle(pairs)
    return scatter(rng, pairs).canvas.image, f"How many of the shapes are a {shape}?", str(wanted)


def _receipt(rng: Random) -> tuple[Image, str, str]:
    scene = receipt(rng)
    label = rng.choice(list(scene.entries))
    question = "What is the sum of all?" if label == "total" else f"How much is the {label}?"
    return scene.canvas.image, question, scene.entries[label]


def _form(rng: Random) -> tuple[Image, str, str]:
    scene = form(rng)
    label = rng.choice(list(scene.entries))
    return scene.canvas.image, f"What is the {label}?", scene.entries[label]


def _chart_value(rng: Random) -> tuple[Image, str, str]:
    scene = chart(rng)
    month = rng.choice(list(scene.entries))
    return scene.canvas.image, f"What is the value for {month}?", scene.entries[month]


def _chart_extreme(rng: Random) -> tuple[Image, str, str]:
    scene = chart(rng)
    word, pick = rng.choice((("highest", max), ("lowest", min)))
    month = pick(scene.entries, key=lambda label: int(scene.entries[label]))
    return scene.canvas.image, f"Which month is {word}?", month


_TASKS: dict[str, tuple[float, Callable[[Random], tuple[Image, str, str]]]] = {
    "color": (0.25, _color),
    "shape": (0.20, _shape),
    "present": (0.14, _present),
    "count": (0.11, _count),
    "form": (0.10, _form),
    "receipt": (0.09, _receipt),
    "chart_value": (0.06, _chart_value),
    "chart_extreme": (0.05, _chart_extreme),
}

TASKS = tuple(_TASKS)
SHARES = {task: share for task, (share, _) in _TASKS.items()}
"""Share of each task in a pool; they add up to 1."""


def example(task: str, rng: Random) -> Example:
    """Draw one example of `task`."""
    return Example(task, *_TASKS[task][1](rng))
