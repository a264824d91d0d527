"""The engine: rows in, numbers of their answers out, whatever must be batched, retried or refused on the way."""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hf_select.pool.row import OK
from hf_select.scoring.ahead import ahead
from hf_select.scoring.contexts import prompt_of
from hf_select.scoring.encode import ChatEncoder, Encoded, RowProblem
from hf_select.scoring.losses import evaluating, features_once, row_losses

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from hf_select.pool.row import Row

    Measure = Callable[[PreTrainedModel, Mapping[str, Tensor]], tuple[Tensor, Tensor]]

logger = logging.getLogger(__name__)

_AHEAD = 4
_BUCKET = 8
_ROWS, _TOKENS = 32, 16_384


@dataclass
class RowResult:
    """What became of one row.

    Attributes:
        status: "ok", or why there are no numbers.
        reason: One sentence for every status but "ok".
        n_tokens: Length of the row in tokens, whole, in its first context.
        facts: Context -> (sums over supervised tokens, as many as are measured, then how many tokens).
    """

    status: str = OK
    reason: str = ""
    n_tokens: int | None = None
    facts: dict[str, tuple[float, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Item:
    result: RowResult
    encoded: dict[str, Encoded]

    @property
    def length(self) -> int:
        return max(one.labels.shape[1] for one in self.encoded.values())

    @property
    def has_images(self) -> bool:
        return any(one.n_images for one in self.encoded.values())


class AnswerEngine:
    """Measures every row's answers in each context: their summed loss, or other sums over their tokens.

    Rows are prepared by one thread ahead of the forward. On a CPU a forward takes one row (measured best: a few hundred
    tokens fill its matrix products and padding only costs); elsewhere rows of similar length share a batch of at most
    `micro_batch` rows and `token_budget` padded tokens. Rows with and without pictures never share a forward. When
    memory runs out, the batch is halved and tried again, down to one row, and the budget stays that small.

    In float32 a row's mean loss is the same within 1e-5 (relative) in any batch, order or neighbourhood; on a CPU with
    the default of one row a forward it is the same bit for bit. Equal rows of one call are computed once.

    Args:
        model: Any image-text-to-text model, on its device.
        encoder: Encoder of the model's processor, with the window.
        contexts: Names of contexts; the first one gives `n_tokens`.
        measure: From the model and a batch of `ChatEncoder.collate` on its device to float64 sums (rows,) or
            (rows, sums) and int64 counts (rows,), as `row_losses`.
        micro_batch: Most rows of a forward; None for 1 on a CPU and 32 elsewhere.
        token_budget: Most padded tokens of a forward with more than one row; None for 16,384.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        encoder: ChatEncoder,
        contexts: Sequence[str],
        measure: Measure = row_losses,
        micro_batch: int | None = None,
        token_budget: int | None = None,
    ) -> None:
        self.model = model
        self.encoder = encoder
        self.contexts = tuple(contexts)
        self._measure = measure
        self._rows_at_once = micro_batch or (1 if model.device.type == "cpu" else _ROWS)
        self._tokens_at_once = token_budget or _TOKENS

    def score(self, rows: Sequence[Row]) -> list[RowResult]:
        """Return one result a row, in order. No row raises: what can't be scored has a status and a reason."""
        first: dict[str, RowResult] = {}
        results = []
        todo: list[Row] = []
        for row in rows:
            if row.status != OK:
                results.append(RowResult(row.status, row.reason))
                continue
            if row.key not in first:
                first[row.key] = RowResult()
                todo.append(row)
            results.append(first[row.key])
        with evaluating(self.model), ThreadPoolExecutor(1) as pool:
            prepared = ahead(pool, lambda row: self._prepare(row, first[row.key]), todo, _AHEAD)
            items = (item for item in prepared if item is not None)
            while window := list(itertools.islice(items, self._window())):
                for batch in self._batches(window):
                    self._run(batch)
        return results

    def _window(self) -> int:
        return self._rows_at_once * _BUCKET if self._rows_at_once > 1 else 1

    def _prepare(self, row: Row, result: RowResult) -> _Item | None:
        prompts, encoded = [], {}
        try:
            for context in self.contexts:
                prompt = prompt_of(row, context)
                known = next((name for name, other in prompts if other == prompt), None)
                encoded[context] = encoded[known] if known else self.encoder.encode(row, context)
                prompts.append((context, prompt))
        except RowProblem as problem:
            result.status, result.reason = problem.status, problem.reason
            return None
        result.n_tokens = encoded[self.contexts[0]].n_tokens
        return _Item(result, encoded)

    def _batches(self, items: list[_Item]) -> Iterator[list[_Item]]:
        """Cut rows into batches of like length, longest first (trouble with memory shows at once)."""
        items = sorted(items, key=lambda item: (item.has_images, item.length), reverse=True)
        while items:
            batch = [item for item in self._fitting(items) if item.has_images == items[0].has_images]
            items = items[len(batch) :]
            yield batch

    def _fitting(self, items: list[_Item]) -> list[_Item]:
        """The first rows that fit in one forward, when the first is the longest."""
        return items[: min(self._rows_at_once, max(1, self._tokens_at_once // items[0].length))]

    def _run(self, batch: list[_Item]) -> None:
        import torch

        while batch:
            now = self._fitting(batch)
            try:
                self._forward(now)
                batch = batch[len(now) :]
                continue
            except torch.OutOfMemoryError as error:
                trouble = str(error).splitlines()[0]
            if self.model.device.type == "cuda":
                torch.cuda.empty_cache()
            length = now[0].length
            if len(now) == 1:
                now[0].result.status = "out_of_memory"
                now[0].result.reason = f"this row alone ({length} tokens) doesn't fit in memory: {trouble}"
                batch = batch[1:]
            else:
                self._tokens_at_once = length * ((len(now) + 1) // 2)
                message = "out of memory with %d rows of %d tokens in a forward: at most %d padded tokens from here on"
                logger.warning(message, len(now), length, self._tokens_at_once)

    def _forward(self, batch: list[_Item]) -> None:
        done: dict[int, tuple[float, ...]] = {}
        with features_once(self.model):
            for context in self.contexts:
                fresh = [one for item in batch if id(one := item.encoded[context]) not in done]
                if fresh:
                    done.update(zip(map(id, fresh), self._facts(fresh), strict=True))
        for item in batch:
            self._finish(item.result, {context: done[id(one)] for context, one in item.encoded.items()})

    def _facts(self, encoded: list[Encoded]) -> list[tuple[float, ...]]:
        inputs = {name: self._placed(value) for name, value in self.encoder.collate(encoded).items()}
        sums, counts = self._measure(self.model, inputs)
        return list(zip(*sums.reshape(len(encoded), -1).T.tolist(), counts.tolist(), strict=True))

    def _placed(self, value: Tensor) -> Tensor:
        dtype = self.model.dtype if value.is_floating_point() else value.dtype
        return value.to(self.model.device, dtype, non_blocking=True)

    def _finish(self, result: RowResult, facts: dict[str, tuple[float, ...]]) -> None:
        wrong = next(((name, x) for name, found in facts.items() for x in found if not math.isfinite(x)), None)
        if wrong is None:
            result.facts = facts
        else:
            result.status = "non_finite"
            result.reason = f"a sum in context {wrong[0]} is {wrong[1]}: the model overflows on this row"
