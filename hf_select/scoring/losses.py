"""Negative log-likelihood of the supervised tokens of each row: from one forward, without logits nobody needs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module
    from transformers import PreTrainedModel

IGNORED = -100
_CHUNK = 1024


def row_losses(model: PreTrainedModel, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Return each row's summed loss and its number of supervised tokens.

    The label at position t is judged by the logits at t-1, shifted here once. Sums, never means over the batch: a row
    gets the same numbers whatever its neighbours are. Cross-entropy is in float32 whatever the model's dtype, summed in
    float64. Cost: one forward; logits only at positions some row of the batch needs.

    Args:
        model: In evaluation mode.
        batch: What `ChatEncoder.collate` gives, on the model's device: int64 `labels` (rows, length) with -100 where
            not supervised, and the inputs of the forward.

    Returns:
        float64 sums in nats (rows,) and int64 counts (rows,).
    """
    import torch

    labels = batch["labels"]
    if not (labels[:, 1:] != IGNORED).any():
        return torch.zeros(len(labels), dtype=torch.float64), torch.zeros(len(labels), dtype=torch.int64)
    return summed_nll(*answer_logits(model, batch))


def answer_logits(model: PreTrainedModel, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Return the logits before each supervised token, and those tokens: what every number about an answer is made of.

    Args:
        model: In evaluation mode.
        batch: As `row_losses` takes it, with at least one supervised token.

    Returns:
        Logits (rows, places, vocabulary) in the model's dtype, and int64 targets (rows, places), -100 where a place is
        another row's.
    """
    inputs = {name: value for name, value in batch.items() if name != "labels"}
    targets = batch["labels"][:, 1:]
    columns = (targets != IGNORED).any(0).nonzero().flatten()
    return _logits_at(model, inputs, columns), targets[:, columns]


def summed_nll(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Sum -log softmax(logits)[target] over each row's targets.

    Args:
        logits: (rows, places, vocabulary), any float dtype.
        targets: int64 (rows, places); -100 where nothing is asked.

    Returns:
        float64 sums in nats (rows,) and int64 counts (rows,).
    """
    import torch

    def nll(logits: Tensor, targets: Tensor) -> Tensor:
        return torch.nn.functional.cross_entropy(logits, targets, reduction="none")

    return summed(nll, logits, targets, _CHUNK)


def summed(
    numbers: Callable[[Tensor, Tensor], Tensor],
    logits: Tensor,
    targets: Tensor,
    at_once: int,
    width: tuple[int, ...] = (),
) -> tuple[Tensor, Tensor]:
    """Sum what `numbers` says of each target over each row.

    Args:
        numbers: From float32 logits (n, vocabulary) and int64 targets (n,) to numbers (n, *width).
        logits: (rows, places, vocabulary), any float dtype.
        targets: int64 (rows, places); -100 where nothing is asked.
        at_once: Most targets `numbers` is given at once, which bounds the memory.
        width: Of the numbers of one target.

    Returns:
        float64 sums (rows, *width) and int64 counts (rows,).
    """
    import torch

    wanted = targets != IGNORED
    rows, places = wanted.nonzero(as_tuple=True)
    sums = torch.zeros((len(targets), *width), dtype=torch.float64)
    for start in range(0, len(rows), at_once):
        row, place = rows[start : start + at_once], places[start : start + at_once]
        found = numbers(logits[row, place].float(), targets[row, place])
        sums.index_add_(0, row.cpu(), found.cpu().double())
    return sums, wanted.sum(1).cpu()


@contextmanager
def features_once(model: PreTrainedModel) -> Iterator[None]:
    """Inside, equal pictures pass the vision tower once: every further call gets the features of the call before.

    Works for every family that computes them in `get_image_features` (all of transformers' image-text models with
    image tokens); others just compute them again.
    """
    holders = [module for module in model.modules() if hasattr(type(module), "get_image_features")]
    for module in holders:
        module.get_image_features = _Remembered(module.get_image_features)
    try:
        yield
    finally:
        for module in holders:
            del module.get_image_features


@contextmanager
def evaluating(model: Module) -> Iterator[None]:
    """Inside, no gradients and no dropout; afterwards each module is in the mode it was in."""
    import torch

    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        for module in training:
            module.training = True


class _Remembered:
    def __init__(self, function: Any) -> None:
        self._function = function
        self._signature = inspect.signature(function)
        self._asked: dict[str, Any] | None = None
        self._answer: Any = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        asked = dict(self._signature.bind(*args, **kwargs).arguments)
        if self._asked is None or not _same(asked, self._asked):
            self._answer = self._function(*args, **kwargs)
            self._asked = asked
        return self._answer


def _same(a: Any, b: Any) -> bool:
    import torch

    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return a is b or (a.shape == b.shape and a.dtype == b.dtype and torch.equal(a, b))
    return type(a) is type(b) and not isinstance(a, torch.Tensor) and bool(a == b)


def _logits_at(model: PreTrainedModel, inputs: dict[str, Tensor], columns: Tensor) -> Tensor:
    """Return logits (rows, len(columns), vocabulary) at the given positions of every row."""
    takes = inspect.signature(model.forward).parameters
    options: dict[str, Any] = {"return_dict": True}
    if "use_cache" in takes or any(p.kind is p.VAR_KEYWORD for p in takes.values()):
        options["use_cache"] = False
    if "logits_to_keep" in takes:
        options["logits_to_keep"] = columns
    logits = model(**inputs, **options).logits
    return logits if logits.shape[1] == len(columns) else logits[:, columns]
