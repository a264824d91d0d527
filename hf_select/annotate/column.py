"""Instructions that the pool has already, shown for the asked rows only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from hf_select.annotate.annotator import Annotator, Request, Said
from hf_select.pool.row import OK
from hf_select.pool.view import PoolView

if TYPE_CHECKING:
    from datasets import Dataset

_AT_ONCE = 256


@dataclass(frozen=True)
class ColumnAnnotator(Annotator):
    """Takes the instruction of the pool itself, as PreSel's own experiments do: it is hidden until it is asked for.

    Attributes:
        view: How the rows are read with their instructions (the pool's own schema).
    """

    view: PoolView = field(default_factory=PoolView)

    def identity(self) -> dict[str, Any]:
        """The view; the pool's fingerprint is part of every stage already."""
        return {"annotator": "column", "view": asdict(self.view)}

    def ask(self, pool: Dataset, requests: Iterable[Request]) -> Iterator[tuple[Request, Said]]:
        """Read the asked rows, and no others."""
        waiting = list(requests)
        for start in range(0, len(waiting), _AT_ONCE):
            batch = waiting[start : start + _AT_ONCE]
            rows = self.view.rows(pool.select([request.position for request in batch]).with_format("arrow")[:])
            for request, row in zip(batch, rows, strict=True):
                if row.status == OK:
                    yield request, Said(turns=row.turns)
                else:
                    yield request, Said(status=row.status, reason=row.reason)
