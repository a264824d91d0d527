"""Instructions that the pool has already, shown for the asked rows only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from hf_select.annotate.annotator import Annotator, Request, Said, Turns
from hf_select.annotate.parse import PLACE
from hf_select.errors import UsageError
from hf_select.pool.row import OK, Message, Row
from hf_select.pool.view import PoolView

if TYPE_CHECKING:
    from datasets import Dataset

_AT_ONCE = 256


@dataclass(frozen=True)
class ColumnAnnotator(Annotator):
    """Takes the instruction of the pool itself, as PreSel's own experiments do: it is hidden until it is asked for.

    Pictures keep their places inside the questions. System messages are left out.

    Attributes:
        view: How the rows are read with their instructions (the pool's own schema).
    """

    is_free: ClassVar[bool] = True

    view: PoolView = field(default_factory=PoolView)

    def identity(self) -> dict[str, Any]:
        """The view; the pool's fingerprint is part of every stage already."""
        return {"annotator": "column", "view": asdict(self.view)}

    def ask(self, pool: Dataset, requests: Iterable[Request]) -> Iterator[tuple[Request, Said]]:
        """Read the asked rows, and no others.

        Raises:
            UsageError: The pool has no instructions.
        """
        waiting = list(requests)
        for start in range(0, len(waiting), _AT_ONCE):
            asked = waiting[start : start + _AT_ONCE]
            batch = pool.select([request.position for request in asked]).with_format("arrow")[:]
            if self.view.schema_of(batch) == "images":
                raise UsageError(
                    "this pool has pictures and no instructions of its own: have them written by an endpoint or a"
                    " local model."
                )
            for request, row in zip(asked, self.view.rows(batch), strict=True):
                if row.status == OK:
                    yield request, Said(turns=_turns(row))
                else:
                    yield request, Said(status=row.status, reason=row.reason)


def _turns(row: Row) -> Turns:
    """(question, answer) pairs as in `Row.turns`, with the pictures' places marked where LLaVA's files have them."""
    pairs: list[tuple[str, str]] = []
    question: list[str] = []
    for message in row.messages:
        if message.role == "user":
            question.append(_marked(message))
        elif message.role == "assistant" and message.supervised:
            pairs.append(("\n".join(question), message.text))
            question = []
    return tuple(pairs)


def _marked(message: Message) -> str:
    """The text that reads as these parts again: reading takes one line break away with every mark."""
    written = ""
    for number, part in enumerate(message.parts, 1):
        if part.text is not None:
            written += part.text
        elif number < len(message.parts):
            written += f"{PLACE}\n"
        else:
            written += f"\n{PLACE}" if written and not written.endswith(f"{PLACE}\n") else PLACE
    return written
