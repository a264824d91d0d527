"""Decoding to RGB: one rule for every mode, so that every model of a run sees the same pixels.

Upright by EXIF; first frame of an animation; transparency (alpha or a transparent palette entry) over white, as
transformers does; 16-bit grey divided by 257 and float values in 0..1 times 255, where Pillow's own `convert("RGB")`
would clip the first to white and the second to black.
"""

from __future__ import annotations

import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageFile, ImageOps

from hf_select.errors import HFSelectError

MAX_PIXELS = 64 * 1024 * 1024
"""Largest width x height that is decoded; checked on the header, before any pixel is unpacked."""

# Rasters only: Pillow would hand EPS to Ghostscript, and needs other programs or drivers for WMF, GRIB or HDF5.
_FORMATS = (
    "AVIF", "BMP", "DIB", "GIF", "ICO", "JPEG", "JPEG2000", "MPO", "PCX", "PNG", "PPM", "QOI", "SGI", "TGA", "TIFF",
    "WEBP",
)  # fmt: skip

_DECODE_ERRORS = (
    OSError, ValueError, SyntaxError, EOFError, TypeError, KeyError, IndexError, OverflowError, AttributeError,
    NotImplementedError, MemoryError, struct.error, zlib.error,
)  # fmt: skip


class ImageProblem(HFSelectError):
    """One image can't be used; it costs its own row only.

    Attributes:
        status: "image_missing", "image_unreadable", "image_too_large", "unsupported_mode" or "url_refused".
        reason: One sentence that names the image.
    """

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason

    def __reduce__(self) -> tuple[type[ImageProblem], tuple[str, str]]:
        return type(self), (self.status, self.reason)


class _WholeFilesOnly:
    """Keeps Pillow's process-wide LOAD_TRUNCATED_IMAGES off while any thread decodes, and puts it back after.

    Other packages switch it on; a truncated picture would then be filled up with grey and scored.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._before = False

    @contextmanager
    def __call__(self) -> Iterator[None]:
        with self._lock:
            if self._inside == 0:
                self._before = ImageFile.LOAD_TRUNCATED_IMAGES
                ImageFile.LOAD_TRUNCATED_IMAGES = False
            self._inside += 1
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                if self._inside == 0:
                    ImageFile.LOAD_TRUNCATED_IMAGES = self._before


_whole_files_only = _WholeFilesOnly()


def decode(file: BinaryIO, name: str, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decode an image file to upright RGB; the content decides the format, never the name.

    Args:
        file: The file's bytes, at the start.
        name: What messages call the image.
        max_pixels: Largest width x height.

    Raises:
        ImageProblem: For whatever can't be decoded whole.
    """
    try:
        with Image.open(file, formats=_known_formats()) as image:
            return to_rgb(image, name, max_pixels)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageProblem("image_too_large", f"image {quoted(name)} is refused unopened: {error}") from error
    except Image.UnidentifiedImageError as error:
        raise ImageProblem(
            "image_unreadable", f"image {quoted(name)} is in no image format that is read here"
        ) from error
    except _DECODE_ERRORS as error:
        raise _unreadable(name, error) from error


def to_rgb(image: Image.Image, name: str, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Turn an open Pillow image into upright RGB over white; the given image is left as it is.

    Raises:
        ImageProblem: "image_too_large", "unsupported_mode", or "image_unreadable" where its data don't decode.
    """
    width, height = image.size
    if width * height > max_pixels:
        raise ImageProblem(
            "image_too_large", f"image {quoted(name)} has {width} x {height} pixels, over the limit of {max_pixels}"
        )
    try:
        with _whole_files_only():
            image.load()
        upright = ImageOps.exif_transpose(image)
        return _flatten(upright, name)
    except _DECODE_ERRORS as error:
        raise _unreadable(name, error) from error


def _flatten(image: Image.Image, name: str) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        return _scaled(image, name).convert("RGB")
    if "A" in image.getbands() or "a" in image.getbands() or image.info.get("transparency") is not None:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, layer).convert("RGB")
    if image.mode == "RGB":
        return image.copy()
    try:
        return image.convert("RGB")
    except ValueError as error:
        raise ImageProblem(
            "unsupported_mode", f"image {quoted(name)} has mode {image.mode}, which has no RGB form"
        ) from error


def _scaled(image: Image.Image, name: str) -> Image.Image:
    values = np.asarray(image)
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    if image.mode == "F" and low >= 0.0 and high <= 1.0:
        grey = values * 255.0
    elif image.mode == "F" and low >= 0.0 and high <= 255.0:
        grey = values
    elif image.mode != "F" and low >= 0 and high <= 65535:
        grey = values / 257.0
    else:
        raise ImageProblem(
            "unsupported_mode",
            f"image {quoted(name)} has mode {image.mode} with values from {low:g} to {high:g}; "
            "read are 0..65535 for integers and 0..1 or 0..255 for floats",
        )
    return Image.fromarray(np.rint(grey).astype(np.uint8))


def quoted(name: str) -> str:
    """A name for messages: in quotes, unprintable characters escaped, the middle of a long one left out."""
    return repr(name if len(name) <= 120 else f"{name[:60]}...{name[-50:]}")


def _known_formats() -> list[str]:
    Image.init()
    return [name for name in _FORMATS if name in Image.OPEN]


def _unreadable(name: str, error: Exception) -> ImageProblem:
    detail = " ".join(str(error).split()) or type(error).__name__
    return ImageProblem("image_unreadable", f"image {quoted(name)} can't be decoded: {detail[:200]}")
