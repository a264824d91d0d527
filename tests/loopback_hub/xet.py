"""Xet without a storage server: hf_xet keeps its files in a folder, and this reads them back out of a copy.

Nothing documents a `local://` address or the layout of shards outside of xet-core; tests of this way skip without it.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from loopback_hub.store import Blob

HEADER = RECORD = 48
END = b"\xff" * 32
VERIFIED, HAS_SHA256 = 1 << 31, 1 << 30
# In a process of its own: the store's index is locked by one process, and hf_xet's threads stay out of the tests.
FETCH = """
import sys
from hf_xet import XetFileInfo, XetSession
store, *files = sys.argv[1:]
with XetSession().new_file_download_group(endpoint=f"local://{store}") as group:
    for name, size, place in zip(files[::3], files[1::3], files[2::3]):
        group.start_download_file(XetFileInfo(name, int(size)), place)
"""


class XetFolder:
    """The store that clients write to, because a token answer names it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)

    @property
    def url(self) -> str:
        return f"local://{self.folder}"

    def known(self) -> dict[str, tuple[str, int]]:
        """Return the Xet hash and the size in bytes of every stored file, by sha256."""
        found = {}
        for shard in self.folder.rglob("shards/*.mdb"):
            found |= dict(files_of(shard.read_bytes()))
        return found

    def blobs(self, oids: Iterable[str]) -> dict[str, Blob]:
        """Return the files among `oids` that are in the store."""
        known = self.known()
        wanted = {oid: known[oid] for oid in oids if oid in known}
        if not wanted:
            return {}
        with tempfile.TemporaryDirectory() as place:
            copy = Path(place, "copy")
            shutil.copytree(self.folder, copy)
            words = [word for oid, (name, size) in wanted.items() for word in (name, str(size), str(Path(place, oid)))]
            done = subprocess.run(
                [sys.executable, "-c", FETCH, str(copy), *words],
                env=os.environ | {"HF_HOME": place},
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, done.stderr
            return {oid: Blob(Path(place, oid).read_bytes(), True, name) for oid, (name, _) in wanted.items()}


def files_of(shard: bytes) -> Iterable[tuple[str, tuple[str, int]]]:
    """Yield (sha256, (Xet hash, size in bytes)) of the files that a shard describes."""
    at = HEADER
    while (name := shard[at : at + 32]) != END:
        flags, count = struct.unpack_from("<II", shard, at + 32)
        size = sum(struct.unpack_from("<I", shard, at + RECORD * (n + 1) + 36)[0] for n in range(count))
        at += RECORD * (1 + count * (2 if flags & VERIFIED else 1))
        if flags & HAS_SHA256:
            yield words_of(shard[at : at + 32]), (words_of(name), size)
            at += RECORD


def words_of(digest: bytes) -> str:
    """Write a hash as Xet does: four little-endian words."""
    return "".join(f"{word:016x}" for word in struct.unpack("<4Q", digest))
