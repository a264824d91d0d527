"""What the shipped model is taught before the demo: to describe drawn pictures and to answer in short words.

The questions here are about looking and reading in general. None of them is a question of the demo's pool
(`hf_select.demo.tasks`), which the tuned models have to learn from the chosen rows.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from hf_select.demo.scenes import PLACES, Scene, any_pairs, chart, form, receipt, scatter
from hf_select.demo.words import CITIES, COLORS, ITEMS, MONTHS, NAMES, NUMBERS, SHAPES

Lesson = tuple[str, str]

KINDS: dict[str, tuple[str, ...]] = {
    "a color": tuple(COLORS),
    "a shape": SHAPES,
    "food": ITEMS,
    "a name": NAMES,
    "a city": CITIES,
    "a month": MONTHS,
}


def draw(rng: Random, most: int = 6) -> Scene:
    """Draw a scene of any kind, with at most `most` shapes where it has shapes."""
    kind = rng.random()
    if kind < 0.45:
        return scatter(rng, any_pairs(rng, rng.randint(1, most)))
    return (receipt if kind < 0.62 else form if kind < 0.82 else chart)(rng)


def lessons(rng: Random, scene: Scene, count: int) -> list[Lesson]:
    """Return `count` different questions about `scene` with their answers, then one without a picture."""
    about = _objects(rng, scene) if scene.objects else _text(rng, scene) if scene.lines else _bars(rng, scene)
    rng.shuffle(about)
    return [*about[:count], rng.choice(_LANGUAGE)(rng)]


def _objects(rng: Random, scene: Scene) -> list[Lesson]:
    said = [f"{color} {shape}" for _, color, shape in scene.objects]
    at = {place: name for (place, _, _), name in zip(scene.objects, said, strict=True)}
    color = rng.choice([c for _, c, _ in scene.objects])
    shape = rng.choice([s for _, _, s in scene.objects])
    place = rng.choice(list(at) if rng.random() < 0.7 else PLACES)
    return [
        ("Describe the picture.", ", ".join(said)),
        ("List the shapes.", ", ".join(s for _, _, s in scene.objects)),
        ("List the colors.", ", ".join(c for _, c, _ in scene.objects)),
        (f"Name everything {color}.", ", ".join(s for _, c, s in scene.objects if c == color)),
        (f"Name every {shape}.", ", ".join(n for n, (_, _, s) in zip(said, scene.objects, strict=True) if s == shape)),
        (f"Look {place}.", at.get(place, "nothing")),
    ]


def _text(rng: Random, scene: Scene) -> list[Lesson]:
    number = rng.randrange(len(scene.lines))
    other = rng.choice(list(scene.entries))
    values = list(scene.entries.values())
    return [
        ("Read the text.", ", ".join(scene.lines)),
        (f"Read line {NUMBERS[number + 1]}.", scene.lines[number]),
        (f"Read the line of {other}.", f"{other} {scene.entries[other]}"),
        ("Read the first words.", ", ".join(scene.entries)),
        ("Read the right side.", ", ".join(values)),
        ("Read the last line.", scene.lines[-1]),
    ]


def _bars(rng: Random, scene: Scene) -> list[Lesson]:
    bars = [f"{month} {value}" for month, value in scene.entries.items()]
    side = rng.randrange(3)
    return [
        ("Describe the chart.", ", ".join(bars)),
        ("Read the months.", ", ".join(scene.entries)),
        ("Read the heights.", ", ".join(scene.entries.values())),
        (f"Read the {('left', 'middle', 'right')[side]} bar.", bars[side]),
        (f"Read the {('left', 'middle', 'right')[2 - side]} month.", list(scene.entries)[2 - side]),
    ]


def _belongs(rng: Random) -> Lesson:
    kind, other = rng.choice(list(KINDS)), rng.choice(list(KINDS))
    true = rng.random() < 0.5
    word = rng.choice(KINDS[kind if true else other])
    return f"Is {word} {kind}?", "yes" if word in KINDS[kind] else "no"


def _kind(rng: Random) -> Lesson:
    kind = rng.choice(list(KINDS))
    return f"What is {rng.choice(KINDS[kind])}?", kind


def _tally(rng: Random) -> Lesson:
    word, count = rng.choice([*COLORS, *SHAPES]), rng.randint(1, 5)
    return f"How many words are there: {', '.join([word] * count)}?", str(count)


_LANGUAGE: tuple[Callable[[Random], Lesson], ...] = (_belongs, _kind, _tally)
