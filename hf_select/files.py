"""Writing files whole: a reader sees the old content or the new, never a part, and a kill leaves no file half written.

What a kill may leave is a hidden file that ends in `.part`, which nothing here ever reads.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PART = ".part"


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """Give a path beside `file` to write to; at the end of the block it becomes `file`, after an error it is removed.

    The folder is made where it is missing. Any number of processes and threads may write the same file at once: each
    has a path of its own, and the last one wins.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.{uuid.uuid4().hex}{_PART}")
    try:
        yield part
        os.replace(part, file)
    finally:
        part.unlink(missing_ok=True)


def write_atomically(file: Path, content: str | bytes | memoryview) -> None:
    """Write a text (UTF-8, line breaks as they are) or bytes to `file`."""
    with replacing(file) as part:
        part.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)


def is_part(file: Path) -> bool:
    """Whether a file is what a killed `replacing` left."""
    return file.name.startswith(".") and file.name.endswith(_PART)
