"""Perceptual hashes: what is the same picture, and near pairs found without comparing all with all."""

import io
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from hf_select.errors import UsageError
from hf_select.pool.hamming import MOST, near_pairs
from hf_select.pool.images import RowImage
from hf_select.pool.perceptual import BITS, NEAR, SAME_COLOURS, colour_difference, picture_hash


def scene(seed, size=(200, 150)):
    """Twenty random coloured boxes."""
    rng = random.Random(seed)
    image = Image.new("RGB", size, tuple(rng.randrange(256) for _ in range(3)))
    for _ in range(20):
        x, y = rng.randrange(size[0]), rng.randrange(size[1])
        box = [x, y, x + rng.randrange(10, 90), y + rng.randrange(10, 90)]
        ImageDraw.Draw(image).rectangle(box, fill=tuple(rng.randrange(256) for _ in range(3)))
    return image


def saved(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return picture_hash(RowImage.of(buffer.getvalue()))


def bits(one, other):
    return (int(one.shape, 16) ^ int(other.shape, 16)).bit_count()


def colours(one, other):
    pair = (np.frombuffer(side.colours, dtype=np.uint8)[None] for side in (one, other))
    return float(colour_difference(*pair)[0])


def test_a_lossless_copy_has_other_bytes_and_the_same_pixels():
    one, other = saved(scene(1)), saved(scene(1), "BMP")
    assert one.file != other.file and one.pixels == other.pixels and one.shape == other.shape


@pytest.mark.parametrize("seed", range(8))
def test_changed_copies_are_near_and_other_pictures_are_not(seed):
    image = scene(seed)
    copies = [saved(image.resize((100, 75))), saved(image, "JPEG", quality=50), saved(image.point(lambda v: v * 0.85))]
    for copy in copies:
        assert bits(saved(image), copy) <= NEAR and colours(saved(image), copy) <= SAME_COLOURS
    assert bits(saved(image), saved(scene(seed + 100))) > NEAR


@pytest.mark.parametrize("image", [Image.new("RGB", (50, 50), "red"), Image.new("RGB", (1, 1))])
def test_a_plain_picture_has_no_shape(image):
    assert saved(image).shape is None


def test_equal_shapes_of_other_colours_are_told_apart():
    image = scene(3)
    red, green, blue = image.split()
    assert colours(saved(image), saved(Image.merge("RGB", (blue, red, green)))) > SAME_COLOURS


def turned(text, places):
    value = int(text, 16)
    for place in places:
        value ^= 1 << place
    return f"{value:064x}"


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), most=st.integers(0, MOST))
def test_near_pairs_are_those_of_a_comparison_of_all_with_all(seed, most):
    rng = random.Random(seed)
    here = [f"{rng.getrandbits(BITS):064x}" for _ in range(12)]
    there = [turned(rng.choice(here), rng.sample(range(BITS), rng.randrange(0, 45))) for _ in range(12)]
    left, right, distance = near_pairs(here, there, most)
    wanted = [
        (i, j, d)
        for i, a in enumerate(here)
        for j, b in enumerate(there)
        if (d := (int(a, 16) ^ int(b, 16)).bit_count()) <= most
    ]
    assert list(zip(left.tolist(), right.tolist(), distance.tolist(), strict=True)) == wanted


def test_near_pairs_of_nothing_and_of_too_much():
    assert [len(part) for part in near_pairs([], ["0" * 64], 3)] == [0, 0, 0]
    with pytest.raises(UsageError):
        near_pairs([], [], MOST + 1)
