"""What an annotator is: requests in, answers out, in any order, one at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from datasets import Dataset

    from hf_select.pool.row import Row

Turns = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Request:
    """A picture that needs an instruction.

    Attributes:
        address: The row's address in the selection.
        position: Where the row is in the pool.
        row: The row's pictures and task.
        prompt: What the annotator is asked to write.
    """

    address: str
    position: int
    row: Row
    prompt: str


@dataclass(frozen=True)
class Said:
    """What came back for one request.

    Attributes:
        text: A model's answer as it is; None where `turns` or `status` say all.
        turns: (question, answer) pairs of an annotator that needs no parsing.
        status: Why there is no instruction, where that is final; "" otherwise.
        reason: One sentence for a status.
        tokens_in: Tokens that were paid for on the way in.
        tokens_out: Tokens that were paid for on the way out.
        passing: Whether asking again later may help: such an answer is not journalled.
    """

    text: str | None = None
    turns: Turns = ()
    status: str = ""
    reason: str = ""
    tokens_in: int = 0
    tokens_out: int = 0
    passing: bool = False


class Annotator(ABC):
    """Writes instructions for pictures.

    Attributes:
        is_free: Whether answers cost no tokens.
    """

    is_free: ClassVar[bool] = False

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """Return what decides the answers, JSON-able and without any secret; answers are journalled under it."""

    @abstractmethod
    def ask(self, pool: Dataset, requests: Iterable[Request]) -> Iterator[tuple[Request, Said]]:
        """Answer `requests`, each as soon as it is answered, in any order.

        Requests are drawn one by one, when there is room for one more: who stops giving them stops the bill.

        Raises:
            HFSelectError: Nothing more can be asked; what was answered before has been handed over.
        """
