from random import Random

import numpy as np
import pytest
from PIL import Image

from hf_select.demo.canvas import GRID, LAYERS, PATCH, SIDE, Canvas
from hf_select.demo.lessons import draw, lessons
from hf_select.demo.scenes import any_pairs, chart, form, receipt, scatter
from hf_select.demo.tasks import SHARES, TASKS, example
from hf_select.demo.words import COLORS, PRINTED, SHAPES


@pytest.mark.parametrize("task", TASKS)
def test_examples_depend_on_the_seed_alone_and_have_an_answer(task):
    first, again = example(task, Random("a")), example(task, Random("a"))
    assert (first.question, first.answer) == (again.question, again.answer)
    assert first.image.tobytes() == again.image.tobytes()
    assert first.image.size == (SIDE, SIDE) and first.image.mode == "RGB"
    assert first.answer and first.question.endswith("?")


def test_shares_add_up_and_differ():
    assert sum(SHARES.values()) == pytest.approx(1.0)
    assert max(SHARES.values()) >= 4 * min(SHARES.values())


def test_a_shape_has_its_color_at_its_center_and_its_labels_around_it():
    for seed in range(20):
        scene = scatter(Random(seed), any_pairs(Random(seed), 5))
        for layer, names in (("shape", SHAPES), ("color", tuple(COLORS))):
            found = scene.canvas.labels[layer]
            # Each shape labels four patches.
            assert sorted(np.bincount(found.ravel(), minlength=len(names) + 1)[1:].tolist()) == sorted(
                4 * [o[1:][::-1][0 if layer == "shape" else 1] for o in scene.objects].count(name) for name in names
            )


def test_shape_pixels():
    canvas = Canvas((255, 255, 255))
    for number, shape in enumerate(SHAPES):
        canvas.shape(shape, "blue", (28 + 28 * (number % 3), 28 + 42 * (number // 3)), 11)
    for number in range(len(SHAPES)):
        assert canvas.image.getpixel((28 + 28 * (number % 3), 28 + 42 * (number // 3))) == COLORS["blue"]


def test_the_facts_of_a_receipt_add_up():
    for seed in range(30):
        scene = receipt(Random(seed))
        *prices, total = map(int, scene.entries.values())
        assert sum(prices) == total < 100
        assert scene.lines[-1] == f"total {total}"


def test_a_bar_is_as_high_as_its_value():
    for seed in range(10):
        scene = chart(Random(seed))
        pixels = np.asarray(scene.canvas.image).astype(int)
        for number, value in enumerate(scene.entries.values()):
            column = pixels[: SIDE - PATCH, PATCH + 4 + number * 2 * PATCH + 10]
            assert (column == column[-1]).all(axis=1).sum() * 5 == int(value) * 7


def test_printed_words_are_known():
    for seed in range(30):
        for scene in (receipt(Random(seed)), form(Random(seed))):
            words = [word for line in scene.lines for word in line.split()]
            assert all(word.isdigit() or word in PRINTED for word in words)


def test_labels_fit_their_layers():
    for seed in range(50):
        labels = draw(Random(seed)).canvas.labels
        assert {name: layer.shape for name, layer in labels.items()} == dict.fromkeys(LAYERS, (GRID, GRID))
        assert all(layer.min() >= 0 and layer.max() < LAYERS[name] for name, layer in labels.items())


def test_lessons_do_not_ask_what_the_pool_asks():
    rng = Random(0)
    taught = {question for _ in range(300) for question, _ in lessons(rng, draw(rng), 9)}
    asked = {example(task, Random(f"{task}{n}")).question for task in TASKS for n in range(60)}
    assert len(asked) > 80
    assert not taught & asked


def test_pictures_survive_png(tmp_path):
    drawn = example("receipt", Random(1))
    drawn.image.save(tmp_path / "a.png")
    assert Image.open(tmp_path / "a.png").tobytes() == drawn.image.tobytes()
