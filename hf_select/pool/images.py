"""References to images: cheap to make, read only on demand, and every trouble is a status with a reason."""

from __future__ import annotations

import base64
import binascii
import difflib
import hashlib
import io
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from PIL import Image

from hf_select.pool.pixels import MAX_PIXELS, ImageProblem, decode, quoted, to_rgb
from hf_select.pool.urls import fetch

__all__ = ["MAX_PIXELS", "ImageProblem", "RowImage", "is_reference_elsewhere", "is_url"]

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_BARE_BASE64 = re.compile(r"(iVBORw0KGgo|/9j/|R0lGOD|UklGR)[A-Za-z0-9+/\s]{40,}={0,2}\s*")
_MAX_LISTED = 5000


def is_url(text: str) -> bool:
    """Whether a text names something to fetch (any scheme but file:)."""
    return bool(_SCHEME.match(text)) and not text.lower().startswith("file://")


def is_reference_elsewhere(text: str) -> bool:
    """Whether a text names no local file: a URL, a data: URI, or base64 of an image."""
    return text[:5].lower() == "data:" or is_url(text) or _BARE_BASE64.fullmatch(text) is not None


@dataclass(frozen=True)
class RowImage:
    """One image of a row: where its bytes are, never the pixels.

    Attributes:
        name: What messages call it: the path as given, or a word for bytes without a name.
        path: The local file, when the bytes are in a file.
        data: The file's bytes, when they were given.
        pixels: A Pillow image, when that was given.
        fault: (status, reason) of a reference that was of no use from the start.
        url: The address the bytes are fetched from, when that was allowed.
    """

    name: str
    path: str | None = None
    data: bytes | None = None
    pixels: Image.Image | None = None
    fault: tuple[str, str] | None = None
    url: str | None = None

    @classmethod
    def of(cls, value: Any, root: str | os.PathLike[str] | None = None) -> RowImage:
        """Make a reference from whatever a pool holds; nothing is read and nothing raises.

        Args:
            value: A path, a data: URI, base64 text, bytes, a Pillow image, or datasets' {"bytes", "path"}.
            root: Folder that relative paths start from; the working directory without one.
        """
        if isinstance(value, RowImage):
            return value
        if isinstance(value, os.PathLike):
            value = os.fspath(value)
        if isinstance(value, str):
            return cls._of_text(value, root)
        if isinstance(value, bytes | bytearray | memoryview):
            return cls("embedded image", data=bytes(value))
        if isinstance(value, Image.Image):
            return cls(getattr(value, "filename", "") or "image in memory", pixels=value)
        if isinstance(value, Mapping):
            data, path = value.get("bytes"), value.get("path")
            if isinstance(data, bytes | bytearray | memoryview):
                return cls(path if isinstance(path, str) and path else "embedded image", data=bytes(data))
            if isinstance(path, str):
                return cls._of_text(path, root)
        reason = (
            f"a value of type {type(value).__name__} is no image: give a path, bytes, base64 text or a Pillow image"
        )
        return cls("unknown image", fault=("image_unreadable", reason))

    @classmethod
    def from_base64(cls, text: str, name: str = "base64 image") -> RowImage:
        """Make a reference from base64 text or a data: URI; text that isn't base64 becomes a fault."""
        body = text.split(",", 1)[-1] if text[:5].lower() == "data:" else text
        try:
            return cls(name, data=base64.b64decode("".join(body.split()), validate=True))
        except (binascii.Error, ValueError) as error:
            return cls(name, fault=("image_unreadable", f"{name} isn't valid base64: {error}"))

    @classmethod
    def _of_text(cls, text: str, root: str | os.PathLike[str] | None) -> RowImage:
        if text[:5].lower() == "data:":
            return cls.from_base64(text, "data URI image")
        if is_url(text):
            reason = f"image {quoted(text)} is a URL: download it first, or allow URLs to be fetched"
            return cls(text, fault=("url_refused", reason))
        if _BARE_BASE64.fullmatch(text):
            return cls.from_base64(text)
        path = unquote(urlsplit(text).path) if text.lower().startswith("file://") else text
        return cls(text, path=os.path.join(root, path) if root is not None else path)

    def with_urls(self) -> RowImage:
        """The same reference, fetched when it is read if it is a URL (see `hf_select.pool.urls`)."""
        refused = self.fault is not None and self.fault[0] == "url_refused"
        return RowImage(self.name, url=self.name) if refused else self

    def problem(self) -> tuple[str, str] | None:
        """Say what is wrong without opening the image: a fault, a missing or an empty file; None if nothing is.

        Cost: one `stat`.
        """
        if self.fault is not None:
            return self.fault
        if self.data is not None:
            return ("image_unreadable", f"image {quoted(self.name)} has size 0") if not self.data else None
        if self.path is None:
            return None
        try:
            info = os.stat(self.path)
        except (OSError, ValueError):
            return "image_missing", f"image {quoted(self.name)} is missing{_near_name(self.path)}"
        if stat.S_ISDIR(info.st_mode):
            return "image_unreadable", f"image {quoted(self.name)} is a folder"
        if not stat.S_ISREG(info.st_mode):
            return "image_unreadable", f"image {quoted(self.name)} is no regular file"
        if info.st_size == 0:
            return "image_unreadable", f"image {quoted(self.name)} has size 0"
        return None

    @cached_property
    def digest(self) -> str:
        """32 hex digits over the file's bytes; equal files have equal digests wherever they are.

        A Pillow image that came from a file on disk has that file's digest; one without file bytes is hashed by mode,
        size and pixels. An image that can't be read is hashed by what was given.
        """
        known = hashlib.blake2b(digest_size=16)
        try:
            known.update(self._file_bytes())
        except NoFileBytes:
            known.update(self._pixel_bytes())
        except ImageProblem:
            known.update(f"unreadable {self.name}".encode("utf-8", "surrogatepass"))
        return known.hexdigest()

    def bytes(self) -> bytes:
        """The image file's bytes, untouched; a Pillow image without a file is written as PNG.

        Raises:
            ImageProblem: The file is missing, empty or unreadable.
        """
        try:
            return self._file_bytes()
        except NoFileBytes:
            buffer = io.BytesIO()
            self.open().save(buffer, "PNG")
            return buffer.getvalue()

    def open(self, max_pixels: int = MAX_PIXELS) -> Image.Image:
        """Decode to an upright RGB Pillow image over white (see `hf_select.pool.pixels`). Nothing is cached.

        Raises:
            ImageProblem: With status and reason.
        """
        if self.pixels is not None:
            return to_rgb(self.pixels, self.name, max_pixels)
        return decode(io.BytesIO(self._file_bytes()), self.name, max_pixels)

    def _file_bytes(self) -> bytes:
        problem = self.problem()
        if problem is not None:
            raise ImageProblem(*problem)
        if self.data is not None:
            return self.data
        if self.url is not None:
            return fetch(self.url)
        path = self.path
        if path is None:
            path = self._file_of_pixels()
        try:
            return Path(path).read_bytes()
        except OSError as error:
            raise ImageProblem(
                "image_unreadable", f"image {quoted(self.name)} can't be read: {error.strerror}"
            ) from error

    def _pixel_bytes(self) -> bytes:
        pixels = self.pixels
        try:
            return b"" if pixels is None else f"{pixels.mode} {pixels.size} ".encode() + pixels.tobytes()
        except (OSError, ValueError, SyntaxError):
            return f"unreadable {self.name}".encode("utf-8", "surrogatepass")

    def _file_of_pixels(self) -> str:
        path = self.name
        if self.pixels is None or not os.path.isfile(path):
            raise NoFileBytes
        try:
            with Image.open(path) as stored:
                if stored.size == self.pixels.size:
                    return path
        except (OSError, ValueError, SyntaxError):
            pass
        raise NoFileBytes


class NoFileBytes(Exception):
    """A Pillow image that no file on disk stands behind."""


def _near_name(path: str) -> str:
    try:
        names = _listing(os.path.dirname(path) or ".")
    except (OSError, ValueError):
        return ""
    wanted = os.path.basename(path)
    stem = os.path.splitext(wanted)[0].lower()
    near = names.get(stem) or ""
    if not near and len(names) <= _MAX_LISTED:
        close = difflib.get_close_matches(stem, names, n=1, cutoff=0.85)
        near = names[close[0]] if close else ""
    return f"; its folder has {near!r}" if near else ""


@lru_cache(maxsize=4)
def _listing(folder: str) -> dict[str, str]:
    return {os.path.splitext(name)[0].lower(): name for name in sorted(os.listdir(folder))}
