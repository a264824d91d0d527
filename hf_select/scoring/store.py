"""Scores on disk: one folder a scorer, one small Arrow file a shard, named by what was scored.

    <HF_DATASETS_CACHE>/hf_select/scores/
        AnswerLoss-<digest of its identity>/
            identity.json                    what the scores of this folder are scores of, for people
            <digest of the rows>.arrow       the columns of one shard, in the order of its rows

A file name says nothing of its place in the pool, so no order of names can put scores on other rows, and the same
rows in another pool find their scores. Files appear whole (written aside, then renamed) and are never changed.
"""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from hf_select.errors import HFSelectError
from hf_select.files import write_atomically
from hf_select.scoring.columns import arrow_type
from hf_select.scoring.scorer import Scorer

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.getLogger(__name__)


def default_scores_dir() -> Path:
    """Return where scores are kept without a `cache_dir`: `hf_select/scores` in the cache folder of datasets."""
    import datasets

    return Path(datasets.config.HF_DATASETS_CACHE) / "hf_select" / "scores"


def scorer_key(scorer: Scorer) -> str:
    """Return 32 hex digits of a scorer's identity, and of its code where it is defined in a script or a notebook."""
    from datasets.fingerprint import Hasher

    text = f"{Hasher.hash(type(scorer))} {scorer.identity()}"
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def schema_of(scorer: Scorer) -> pa.Schema:
    """Return the Arrow schema of the columns a scorer adds."""
    return pa.schema([(name, arrow_type(dtype)) for name, dtype in scorer.adds.items()])


class ScoreStore:
    """The shards of one scorer.

    Attributes:
        key: 32 hex digits that stand for the scorer.
        folder: Where its shards are, or None to keep nothing (`datasets.disable_caching()`).
    """

    def __init__(self, scorer: Scorer, root: Path | None) -> None:
        self.scorer = scorer
        self.name = type(scorer).__name__
        self.schema = schema_of(scorer)
        self.key = scorer_key(scorer)
        self.folder = None if root is None else root / f"{self.name}-{self.key}"
        self._identity = scorer.identity()

    def read(self, digest: str, rows: int, label: str) -> Dataset | None:
        """Return a shard that was scored before, or None.

        Args:
            digest: What was scored.
            rows: How many rows the shard must have.
            label: The shard's name in messages, such as "shard 2 of 3".

        Raises:
            HFSelectError: If the file has another number of rows: taking it would move all later scores.
        """
        from datasets import Dataset
        from datasets.table import MemoryMappedTable

        path = self._path(digest)
        if path is None or not path.is_file():
            return None
        try:
            table = MemoryMappedTable.from_file(str(path))
        except (pa.ArrowInvalid, OSError) as error:
            logger.warning("%s of %s can't be read and is scored again (%s): %s", label, self.name, path, error)
            return None
        if not table.schema.equals(self.schema):
            logger.warning("%s of %s has other columns and is scored again: %s", label, self.name, path)
            return None
        if table.num_rows != rows:
            raise HFSelectError(
                f"{label} of {self.name} has {table.num_rows} rows instead of {rows}: delete {path} to score it again."
            )
        return Dataset(table, fingerprint=self._fingerprint(digest))

    def write(self, digest: str, table: pa.Table, rows: int, label: str) -> Dataset:
        """Keep a shard and return it; raises `HFSelectError` if it isn't as long as it must be."""
        from datasets import Dataset

        if table.num_rows != rows:
            raise HFSelectError(f"{label} of {self.name} came out with {table.num_rows} rows instead of {rows}.")
        path = self._path(digest)
        if path is None:
            return Dataset(table, fingerprint=self._fingerprint(digest))
        note = path.parent / "identity.json"
        if not note.is_file():
            write_atomically(note, self._identity)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        write_atomically(path, memoryview(sink.getvalue()))
        written = self.read(digest, rows, label)
        if written is None:
            raise HFSelectError(f"{label} of {self.name} could not be read back from {path}.")
        return written

    def _path(self, digest: str) -> Path | None:
        return None if self.folder is None else self.folder / f"{digest}.arrow"

    def _fingerprint(self, digest: str) -> str:
        return hashlib.blake2b(f"{self.key} {digest}".encode(), digest_size=16).hexdigest()
