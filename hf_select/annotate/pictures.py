"""Pictures as an endpoint takes them: inside the request, as data URIs."""

from __future__ import annotations

import base64
import io

from PIL import Image

from hf_select.pool.images import RowImage

_FORMATS = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpeg", b"RIFF": "webp"}
_ORIENTATION = 0x0112


def data_uri(image: RowImage, max_side: int | None = None) -> str:
    """Return a picture as a data URI.

    The file's own bytes where every endpoint knows the format (PNG, JPEG, WebP); written as PNG where it doesn't, where
    the file says that it lies on its side, or where the picture is larger than `max_side` and is made smaller. Every
    picture is decoded, so that a broken one is never paid for.

    Args:
        image: The picture.
        max_side: Longest side in pixels; None for no limit.

    Raises:
        ImageProblem: The picture can't be read.
    """
    content, picture = image.bytes(), image.open()
    kind = next((name for start, name in _FORMATS.items() if content.startswith(start)), None)
    large = max_side is not None and max(picture.size) > max_side
    if kind is None or (kind == "webp" and content[8:12] != b"WEBP") or large or _is_turned(content):
        if large:
            picture.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        picture.save(buffer, format="PNG")
        content, kind = buffer.getvalue(), "png"
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _is_turned(content: bytes) -> bool:
    with Image.open(io.BytesIO(content)) as stored:
        return stored.getexif().get(_ORIENTATION, 1) != 1
