"""Records of chat pools and their rows, for tests of the row view."""

from __future__ import annotations

from hf_select.pool.view import PoolView

RED = "img/red8x6.png"
BLUE = "img/blue8x6.png"


def columns(*records):
    return {name: [record.get(name) for record in records] for record in records for name in record}


def read(records, root=None, **options):
    return PoolView(image_root=None if root is None else str(root), **options).rows(columns(*records))


def one(record, root=None, **options):
    return read([record], root, **options)[0]


def llava(*turns, **other):
    return {"conversations": [{"from": who, "value": text} for who, text in turns], **other}


def questions(row):
    return [question for question, _ in row.turns]


def user_images(row):
    return [message.n_images for message in row.messages if message.role == "user"]


def systems(row):
    return [message.text for message in row.messages if message.role == "system"]


def names(row):
    return [image.name for image in row.images]
