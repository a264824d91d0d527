"""Processing the pictures of a row once for all its contexts."""

from __future__ import annotations

import copy
from typing import Any


class ImageMemo:
    """Stands in for a processor's image processor and remembers its last result.

    The contexts of a row are encoded one after the other with the same opened pictures, so one entry is enough. The
    pictures are held, so their identity can't be reused. Everything but the call goes to the image processor itself.
    """

    def __init__(self, image_processor: Any) -> None:
        self._inner = image_processor
        self._images: list[Any] = []
        self._options = ""
        self._result: Any = None

    def __call__(self, images: Any, **options: Any) -> Any:
        """Return what the image processor gives for `images`, as a copy whose entries may be taken out."""
        flat, key = _flat(images), repr(sorted(options.items(), key=lambda item: item[0]))
        same = len(flat) == len(self._images) and all(a is b for a, b in zip(flat, self._images, strict=True))
        if self._result is None or not same or key != self._options:
            self._result = self._inner(images, **options)
            self._images, self._options = flat, key
        result = copy.copy(self._result)
        result.data = dict(self._result.data)
        return result

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "_inner":
            raise AttributeError(name)
        return getattr(self._inner, name)


def _flat(images: Any) -> list[Any]:
    if isinstance(images, list | tuple):
        return [one for item in images for one in _flat(item)]
    return [images]
