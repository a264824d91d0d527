"""What the small model does: learn language, learn from rows, score rows, answer questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from decoder import END, PLACES, Decoder
from examples import CONTEXTS, Batch, Example, batch_of, reading_batches, training_batches
from torch import Tensor, nn
from torch.nn import functional as F

ATTENDED_MASS = 0.9


def tune(
    model: Decoder,
    examples: Sequence[Example],
    features: np.ndarray,
    *,
    steps: int,
    seed: int,
    lr: float,
    size: int = 32,
) -> None:
    """Fine-tune in place: AdamW, linear warm-up over 5 % of the steps, then a cosine to 0; gradients clipped at 1."""
    rng = np.random.default_rng(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.01, betas=(0.9, 0.98), fused=True)
    warm = max(1, steps // 20)
    model.train()
    step = 0
    while step < steps:
        for at in training_batches(examples, size, rng):
            if step == steps:
                break
            share = (step + 1) / warm if step < warm else 0.5 + 0.5 * np.cos(np.pi * (step - warm) / (steps - warm))
            for group in optimizer.param_groups:
                group["lr"] = lr * share
            batch = batch_of(examples, at, features)
            states = model(batch.ids, batch.features)[batch.rows, batch.places]
            loss = F.cross_entropy(model.logits(states), batch.targets)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            step += 1
    model.eval()


@torch.inference_mode()
def losses(model: Decoder, examples: Sequence[Example], features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Summed loss in nats and number of supervised tokens of each example."""
    sums, counts = np.zeros(len(examples)), np.zeros(len(examples), np.int64)
    for at in reading_batches(np.array([len(one.ids) for one in examples])):
        batch = batch_of(examples, at, features)
        logits = model.logits(model(batch.ids, batch.features)[batch.rows, batch.places])
        _add(batch, F.cross_entropy(logits, batch.targets, reduction="none"), sums)
        counts[at] = np.bincount(batch.rows.numpy(), minlength=len(at))
    return sums, counts


@torch.inference_mode()
def facts(model: Decoder, examples: Sequence[Example], features: np.ndarray) -> dict[str, np.ndarray]:
    """Everything the recipes look at from one pass over the full context.

    Returns:
        `loss` (sum), `tokens`, `el2n`, `margin`, `entropy` (means over supervised tokens), and the vectors `last`,
        `coincide`, `shallow`, `attended`, each float32 (examples, d).
    """
    n = len(examples)
    found: dict[str, np.ndarray] = {name: np.zeros(n) for name in ("loss", "el2n", "margin", "entropy")}
    counts = np.zeros(n, np.int64)
    vectors: dict[str, list[np.ndarray]] = {"last": [], "coincide": [], "shallow": [], "attended": []}
    seen: list[np.ndarray] = []
    for at in reading_batches(np.array([len(one.ids) for one in examples])):
        batch = batch_of(examples, at, features)
        states = model.states(batch.ids, batch.features)
        logits = model.logits(states[-1][batch.rows, batch.places])
        for name, values in _token_facts(logits, batch.targets).items():
            _add(batch, values, found[name])
        counts[at] = np.bincount(batch.rows.numpy(), minlength=len(at))
        for name, values in _vectors(model, examples, batch, states).items():
            vectors[name].append(values.numpy())
        seen.append(at)
    back = np.argsort(np.concatenate(seen))
    for name in ("el2n", "margin", "entropy"):
        found[name] /= counts
    return found | {"tokens": counts} | {name: np.concatenate(parts)[back] for name, parts in vectors.items()}


def context_losses(
    model: Decoder, by_context: Mapping[str, Sequence[Example]], features: np.ndarray
) -> dict[str, np.ndarray]:
    """Columns `loss_<context>` and `tokens_<context>` of every context but "full", which `facts` gives."""
    columns = {}
    for context in CONTEXTS[1:]:
        sums, counts = losses(model, by_context[context], features)
        columns |= {f"loss_{context}": sums.astype(np.float32), f"tokens_{context}": counts.astype(np.int32)}
    return columns


@dataclass(frozen=True)
class Answered:
    """What a model says to questions whose answers are known.

    Attributes:
        right: Of each example and each of its answers, bool over the answer's tokens and its end: whether the largest
            logit is the token. All of them are exactly when greedy decoding gives the answer.
        sums: Summed loss in nats of each example.
        counts: Supervised tokens of each.
    """

    right: list[list[np.ndarray]]
    sums: np.ndarray
    counts: np.ndarray


@torch.inference_mode()
def answered(model: Decoder, examples: Sequence[Example], features: np.ndarray) -> Answered:
    """Ask every question of every example, earlier answers shown."""
    right: list[list[np.ndarray]] = [[] for _ in examples]
    sums, counts = np.zeros(len(examples)), np.zeros(len(examples), np.int64)
    for at in reading_batches(np.array([len(one.ids) for one in examples])):
        batch = batch_of(examples, at, features)
        logits = model.logits(model(batch.ids, batch.features)[batch.rows, batch.places])
        _add(batch, F.cross_entropy(logits, batch.targets, reduction="none"), sums)
        rows, targets = batch.rows.numpy(), batch.targets.numpy()
        counts[at] = np.bincount(rows, minlength=len(at))
        same = logits.argmax(1).numpy() == targets
        ends = np.flatnonzero(targets == END) + 1
        for first, last in zip(np.concatenate([[0], ends[:-1]]), ends, strict=True):
            right[at[rows[first]]].append(same[first:last])
    return Answered(right, sums, counts)


def _add(batch: Batch, values: Tensor, to: np.ndarray) -> None:
    sums = torch.zeros(len(batch.at), dtype=torch.float64).index_add_(0, batch.rows, values.double())
    to[batch.at] = sums.numpy()


def _token_facts(logits: Tensor, targets: Tensor) -> dict[str, Tensor]:
    log = F.log_softmax(logits, 1)
    chances = log.exp()
    own = chances.gather(1, targets[:, None])[:, 0]
    others = chances.scatter(1, targets[:, None], 0.0)
    return {
        "loss": -log.gather(1, targets[:, None])[:, 0],
        "el2n": (others.square().sum(1) + (1 - own).square()).sqrt(),
        "margin": own - others.max(1).values,
        "entropy": -(chances * log).sum(1),
    }


def _vectors(model: Decoder, examples: Sequence[Example], batch: Batch, states: list[Tensor]) -> dict[str, Tensor]:
    rows = torch.arange(len(batch.at))
    text = torch.arange(batch.ids.shape[1])[None, :] < batch.lengths[:, None]
    share = (text / batch.lengths[:, None])[:, :, None]
    picture = [state[:, :PLACES].mean(1) for state in states[:-1]]
    words = [(state[:, PLACES:] * share).sum(1) for state in states[:-1]]
    parts = [F.normalize(part.tanh(), dim=1) for part in picture + words]
    asked = text.clone()
    for row, at in enumerate(batch.at):
        asked[row, : len(examples[at].supervised)] &= torch.from_numpy(~examples[at].supervised)
    return {
        "last": states[-1][rows, batch.lengths + PLACES - 1],
        "coincide": torch.cat(parts, 1) / len(parts) ** 0.5,
        "shallow": picture[0],
        "attended": _attended(model, batch, states[0], asked),
    }


def _attended(model: Decoder, batch: Batch, first: Tensor, asked: Tensor) -> Tensor:
    """Mean first-block state of the picture places that get 90 % of the attention of the user's text (ScalSelect)."""
    q, k, _ = model.blocks[0].project(model.embed(batch.ids, batch.features))
    scores = q[:, :, PLACES:] @ k.transpose(2, 3) / q.shape[-1] ** 0.5
    length = k.shape[2]
    later = torch.arange(length)[None, :] > (torch.arange(length - PLACES) + PLACES)[:, None]
    weights = scores.masked_fill(later, -torch.inf).softmax(3)[..., :PLACES].mean(1)
    mass = (weights * asked[:, :, None]).sum(1)
    mass = mass / mass.sum(1, keepdim=True)
    largest, order = mass.sort(1, descending=True)
    kept = (largest.cumsum(1) - largest) < ATTENDED_MASS
    chosen = torch.zeros_like(mass).scatter(1, order, kept.float())
    return (first[:, :PLACES] * chosen[:, :, None]).sum(1) / chosen.sum(1, keepdim=True)
