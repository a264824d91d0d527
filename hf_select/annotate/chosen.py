"""The rows of a selection as annotation keeps them in memory: pictures by digest, never by their bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from hf_select.annotate.annotator import Request
from hf_select.pool.row import OK

if TYPE_CHECKING:
    from datasets import Dataset

    from hf_select.annotate.prompts import Prompts
    from hf_select.pool.view import PoolView
    from hf_select.sampling.selection import Selection

_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class Chosen:
    """One row of a selection.

    Attributes:
        address: The row's address in the selection.
        position: Where the row is in the pool.
        id: The row's own id.
        task: Its task.
        status: "ok", or why it can't be asked for.
        reason: One sentence for every status but "ok".
        images: The digest of each picture's bytes.
        prompt: What an annotator is asked to write.
    """

    address: str
    position: int
    id: str | None
    task: str | None
    status: str
    reason: str
    images: tuple[str, ...]
    prompt: str


def chosen_rows(pool: Dataset, selection: Selection, view: PoolView, prompts: Prompts) -> list[Chosen]:
    """Look at every row of a selection once, in pick order; reads the pictures' bytes and decodes none."""
    positions = selection.indices(pool, view).tolist()
    written: dict[str | None, str] = {}
    chosen = []
    named = list(zip(selection.keys, positions, strict=True))
    for start in range(0, len(named), _AT_ONCE):
        places = named[start : start + _AT_ONCE]
        rows = view.rows(pool.select([position for _, position in places]).with_format("arrow")[:])
        for (address, position), row in zip(places, rows, strict=True):
            prompt = written.setdefault(row.task, prompts.of(row.task))
            digests = tuple(image.digest for image in row.images) if row.status == OK else ()
            chosen.append(Chosen(address, position, row.id, row.task, row.status, row.reason, digests, prompt))
    return chosen


def requests(pool: Dataset, wanted: Iterable[Chosen], view: PoolView) -> Iterator[Request]:
    """Read the pictures of `wanted` rows again, a few rows ahead of who asks."""
    left = iter(wanted)
    while few := list(islice(left, _AT_ONCE)):
        rows = view.rows(pool.select([chosen.position for chosen in few]).with_format("arrow")[:])
        for chosen, row in zip(few, rows, strict=True):
            yield Request(chosen.address, chosen.position, row, chosen.prompt)
