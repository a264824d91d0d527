"""Tiny pictures for tests, many of them broken on purpose; each maker returns the bytes of a file."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def plain(colour, size=(8, 6)) -> bytes:
    return encoded(Image.new("RGB", size, colour))


def exif6() -> bytes:
    """Stored 40 x 20 with a blue left quarter; upright it is 20 x 40 with a blue top."""
    image = Image.new("RGB", (40, 20), (255, 0, 0))
    ImageDraw.Draw(image).rectangle([0, 0, 9, 19], fill=(0, 0, 255))
    tags = Image.Exif()
    tags[0x0112] = 6
    return encoded(image, "JPEG", exif=tags, quality=95)


def palette_transparent() -> bytes:
    image = Image.new("P", (8, 6), 0)
    image.putpalette([0, 0, 0, 255, 255, 255] + [0] * 762)
    return encoded(image, transparency=0)


def animation() -> bytes:
    frames = []
    for index in range(3):
        frame = Image.new("P", (8, 6), index)
        frame.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255] + [0] * 759)
        frames.append(frame)
    return encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=100)


def truncated() -> bytes:
    pixels = (np.random.RandomState(0).rand(64, 64, 3) * 255).astype(np.uint8)
    data = encoded(Image.fromarray(pixels), "JPEG")
    return data[: len(data) // 2]


def noise() -> bytes:
    pixels = (np.random.RandomState(1).rand(32, 32, 3) * 255).astype(np.uint8)
    return encoded(Image.fromarray(pixels), "JPEG", quality=90)


def bomb(side: int = 40000) -> bytes:
    """A PNG whose header claims side x side pixels, with almost no data behind it."""

    def chunk(tag: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + tag + body + struct.pack(">I", zlib.crc32(tag + body))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


PICTURES = {
    "red8x6.png": lambda: plain((200, 30, 40)),
    "red8x6_copy.png": lambda: encoded(Image.new("RGB", (8, 6), (200, 30, 40)), compress_level=0),
    "blue8x6.png": lambda: plain((20, 40, 210)),
    "exif6_40x20.jpg": exif6,
    "cmyk.jpg": lambda: encoded(Image.new("CMYK", (8, 6), (0, 255, 255, 0)), "JPEG", quality=95),
    "grey16.png": lambda: encoded(Image.fromarray(np.full((6, 8), 40000, np.uint16))),
    "palette_transparent.png": palette_transparent,
    "rgba_hidden.png": lambda: encoded(Image.new("RGBA", (8, 6), (1, 2, 3, 0))),
    "anim3.gif": animation,
    "gif_named.jpg": animation,
    "only_as_gif.gif": animation,
    "noise32.jpg": noise,
    "truncated.jpg": truncated,
    "html_page.jpg": lambda: b"<html><body>not found</body></html>",
    "zero.jpg": lambda: b"",
    "px1x1.png": lambda: plain((9, 9, 9), (1, 1)),
    "thin300x1.png": lambda: plain((9, 9, 9), (300, 1)),
    "bomb_header.png": bomb,
    "bit1.png": lambda: encoded(Image.new("1", (8, 6), 1)),
    "float.tiff": lambda: encoded(Image.fromarray(np.full((6, 8), 0.5, np.float32)), "TIFF"),
}


def write(root: Path, *names: str) -> Path:
    """Write the named pictures (all without names) to root/img and return root."""
    folder = root / "img"
    folder.mkdir(parents=True, exist_ok=True)
    for name in names or PICTURES:
        (folder / name).write_bytes(PICTURES[name]())
    return root
