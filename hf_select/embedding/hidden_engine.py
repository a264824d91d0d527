"""Rows in, one vector a row out, from the hidden states of a vision-language model."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from hf_select.embedding.batches import Batches
from hf_select.embedding.hidden_states import SEEING, HiddenStates
from hf_select.embedding.vectors import Refused, finished
from hf_select.pool.row import OK, Row
from hf_select.scoring.ahead import ahead
from hf_select.scoring.encode import ChatEncoder, Encoded, RowProblem
from hf_select.scoring.losses import evaluating

_AHEAD = 4
_BUCKET = 8
_ROWS, _TOKENS = 32, 16_384
_WHAT = "the row's hidden states"

_Keyed = tuple[str, Encoded]


class HiddenEngine:
    """Embeds whole rows.

    One thread prepares rows ahead of the forward. On a CPU a forward takes one row, elsewhere rows of similar length
    share one; rows with and without pictures never do. When memory runs out, batches get smaller and stay so. Equal
    rows of one call are computed once.

    Args:
        states: The model and what is looked at.
        encoder: Encoder of the model's processor, with the window.
        squash: Whether each pooled state goes through tanh.
        normalize: Whether each pooled state gets unit length, and all of them together too.
        micro_batch: Most rows of a forward; None for 1 on a CPU and 32 elsewhere.
        token_budget: Most padded tokens of a forward with more than one row; None for 16,384.
    """

    def __init__(
        self,
        states: HiddenStates,
        encoder: ChatEncoder,
        squash: bool,
        normalize: bool,
        micro_batch: int | None = None,
        token_budget: int | None = None,
    ) -> None:
        self.states = states
        self.encoder = encoder
        self.squash = squash
        self.normalize = normalize
        self._rows_at_once = micro_batch or (1 if states.model.device.type == "cpu" else _ROWS)
        self._tokens_at_once = token_budget or _TOKENS

    def embed(self, rows: Sequence[Row]) -> list[np.ndarray | Refused]:
        """Return one vector (d,) float32 or a refusal a row, in order."""
        todo = {row.key: row for row in rows if row.status == OK}
        known: dict[str, np.ndarray | Refused] = {}
        with evaluating(self.states.model), ThreadPoolExecutor(1) as pool:
            prepared = ahead(pool, self._prepare, todo.values(), _AHEAD)
            window = self._rows_at_once * _BUCKET if self._rows_at_once > 1 else 1
            while some := list(itertools.islice(prepared, window)):
                known |= {key: one for key, one in some if isinstance(one, Refused)}
                for batch in self._batches([(key, one) for key, one in some if isinstance(one, Encoded)]):
                    known |= self._run(batch)
        return [known[row.key] if row.status == OK else Refused(row.status, row.reason) for row in rows]

    def _prepare(self, row: Row) -> tuple[str, Encoded | Refused]:
        seeing = bool(SEEING & set(self.states.parts))
        try:
            encoded = self.encoder.encode(row)
        except RowProblem as problem:
            return row.key, Refused(problem.status, problem.reason)
        if seeing and not encoded.n_images:
            return row.key, Refused("no_image", "the row has no image before its last answer")
        if seeing and not self.states.has(encoded.inputs["input_ids"]):
            return row.key, Refused("template", "no token of the row stands for its picture")
        return row.key, encoded

    def _batches(self, items: list[_Keyed]) -> Iterator[list[_Keyed]]:
        """Cut rows into batches of like length, longest first (trouble with memory shows at once)."""
        items = sorted(items, key=lambda item: (item[1].n_images > 0, _length(item)), reverse=True)
        while items:
            most = min(self._rows_at_once, max(1, self._tokens_at_once // _length(items[0])))
            seeing = items[0][1].n_images > 0
            batch = [item for item in items[:most] if (item[1].n_images > 0) == seeing]
            items = items[len(batch) :]
            yield batch

    def _run(self, batch: list[_Keyed]) -> dict[str, np.ndarray | Refused]:
        batches: Batches[Encoded] = Batches(self._forward, len(batch))
        pooled = batches.run([encoded for _, encoded in batch])
        if batches.most < len(batch):
            self._tokens_at_once = batches.most * _length(batch[0])
        return {key: self._finished(one) for (key, _), one in zip(batch, pooled, strict=True)}

    def _forward(self, rows: Sequence[Encoded]) -> np.ndarray:
        model = self.states.model
        inputs = {
            name: value.to(model.device, model.dtype if value.is_floating_point() else value.dtype, non_blocking=True)
            for name, value in self.encoder.collate(rows).items()
        }
        return self.states.pooled(inputs)

    def _finished(self, pooled: np.ndarray | Refused) -> np.ndarray | Refused:
        """Join the pooled states (parts, layers, d): all layers of the first part, then all of the next."""
        if isinstance(pooled, Refused):
            return pooled
        whole = finished(pooled.reshape(-1), False, _WHAT)
        if isinstance(whole, Refused) or not (self.squash or self.normalize):
            return whole
        pieces = (np.tanh(whole) if self.squash else whole).reshape(-1, pooled.shape[-1])
        if not self.normalize:
            return pieces.reshape(-1)
        done = [finished(piece, True, _WHAT) for piece in pieces]
        refused = next((one for one in done if isinstance(one, Refused)), None)
        return (np.concatenate(done) / np.sqrt(len(done))).astype(np.float32) if refused is None else refused


def _length(item: _Keyed) -> int:
    return item[1].labels.shape[1]
