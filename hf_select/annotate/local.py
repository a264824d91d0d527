"""Instructions from a vision-language model on this machine."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hf_select.annotate.annotator import Annotator, Request, Said
from hf_select.errors import UsageError
from hf_select.pool.images import ImageProblem
from hf_select.pool.row import Message, Part, Row

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True, kw_only=True)
class LocalAnnotator(Annotator):
    """Asks any image-text-to-text model of transformers, greedily and in batches.

    Attributes:
        model: Hub id or local folder of a checkpoint with a chat template.
        revision: Branch, tag or commit of a Hub model.
        dtype: "auto" (bfloat16 on CUDA, float32 elsewhere), "float32" or "bfloat16".
        device: Where it runs; None for the best there is. Not part of the identity.
        batch_size: Pictures in one call of `generate`. Not part of the identity.
        max_tokens: Longest answer.
    """

    model: str
    revision: str | None = None
    dtype: str = "auto"
    device: str | None = None
    batch_size: int = 8
    max_tokens: int = 512

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.max_tokens < 1:
            raise UsageError("batch_size and max_tokens are at least 1.")

    def identity(self) -> dict[str, Any]:
        """The weights that the name stands for now, and how they generate."""
        from hf_select.scoring.model import resolve_dtype
        from hf_select.scoring.weights import weights_identity

        weights = weights_identity(self.model, self.revision)
        dtype = resolve_dtype(self.dtype, self.device)
        return {"annotator": "local", "weights": weights, "dtype": dtype, "max_tokens": self.max_tokens}

    def ask(self, pool: Dataset, requests: Iterable[Request]) -> Iterator[tuple[Request, Said]]:
        """Answer `requests`, `batch_size` at a time; the model is loaded when the first one comes."""
        queue = iter(requests)
        first = list(itertools.islice(queue, self.batch_size))
        if not first:
            return
        from hf_select.scoring.generate import generate_answers
        from hf_select.scoring.model import load_vlm, resolve_dtype

        dtype = resolve_dtype(self.dtype, self.device)
        model, processor = load_vlm(self.model, self.revision, dtype=dtype, device=self.device)
        batch = first
        while batch:
            asked = []
            for request in batch:
                problem = _problem(request.row)
                if problem is not None:
                    yield request, Said(status=problem.status, reason=problem.reason)
                else:
                    asked.append(request)
            rows = [_question(request) for request in asked]
            texts = generate_answers(model, processor, rows, batch_size=self.batch_size, max_new_tokens=self.max_tokens)
            yield from zip(asked, map(Said, texts), strict=True)
            batch = list(itertools.islice(queue, self.batch_size))


def _problem(row: Row) -> ImageProblem | None:
    for image in row.images:
        try:
            image.open()
        except ImageProblem as problem:
            return problem
    return None


def _question(request: Request) -> Row:
    """The row's pictures with the prompt behind them."""
    pictures = request.row.messages[0]
    return replace(request.row, messages=(Message("user", (*pictures.parts, Part(request.prompt))),))
