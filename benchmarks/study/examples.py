"""Rows as token sequences, in every context, and as padded batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from decoder import ASSISTANT, END, MOST_TEXT, PAD, PLACES, SPECIAL, USER
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor

INVERSE = "Based on the image and answer, what is the likely question? Answer: "
INVERSE_NO_ANSWER = "Based on the image, what is the likely question?"
CONTEXTS = ("full", "no_question", "no_image", "inverse", "inverse_no_answer")


def vocabulary(texts: Sequence[str], size: int, file: Path) -> Tokenizer:
    """A byte-level BPE of the pool's own texts, digits apart; read from `file` where it was made before."""
    if file.exists():
        return Tokenizer.from_file(str(file))
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=list(SPECIAL), initial_alphabet=alphabet)
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.save(str(file))
    return tokenizer


@dataclass(frozen=True)
class Example:
    """One row in one context.

    Attributes:
        ids: int32 (length,), text only; the picture's tokens come before it.
        supervised: bool (length,), the tokens whose loss counts.
        picture: Row of the features, or -1 for none.
    """

    ids: np.ndarray
    supervised: np.ndarray
    picture: int


class Encoder:
    """Writes rows as token sequences; texts are tokenized once."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self._known: dict[str, list[int]] = {}

    def tokens(self, text: str) -> list[int]:
        """The tokens of a text."""
        if text not in self._known:
            self._known[text] = self.tokenizer.encode(text).ids
        return self._known[text]

    def example(self, turns: Sequence[tuple[str, str]], picture: int, context: str = "full") -> Example:
        """Write a row, cut to the model's window (whole turns are never supervised beyond it)."""
        ids: list[int] = []
        supervised: list[bool] = []
        for question, answer in turns:
            if context == "inverse":
                asked, told = self.tokens(INVERSE) + self.tokens(answer), self.tokens(question)
            elif context == "inverse_no_answer":
                asked, told = self.tokens(INVERSE_NO_ANSWER), self.tokens(question)
            else:
                asked = [] if context == "no_question" else self.tokens(question)
                told = self.tokens(answer)
            ids += [USER, *asked, ASSISTANT, *told, END]
            supervised += [False] * (len(asked) + 2) + [True] * (len(told) + 1)
        place = -1 if context == "no_image" else picture
        return Example(np.array(ids[:MOST_TEXT], np.int32), np.array(supervised[:MOST_TEXT]), place)


@dataclass(frozen=True)
class Batch:
    """Rows padded on the right.

    Attributes:
        at: Positions of the rows among those that were given.
        ids: int64 (rows, text).
        lengths: int64 (rows,), text only.
        features: float32 (rows, 16, 1280) or None.
        rows: Row of each supervised token, ascending.
        places: Where its logits are: the place before it, picture places counted.
        targets: The token.
    """

    at: np.ndarray
    ids: Tensor
    lengths: Tensor
    features: Tensor | None
    rows: Tensor
    places: Tensor
    targets: Tensor

    @property
    def shift(self) -> int:
        """Places before the text."""
        return 0 if self.features is None else PLACES


def batch_of(examples: Sequence[Example], at: np.ndarray, features: np.ndarray) -> Batch:
    """Put the examples at the positions `at` into one batch; all have a picture, or none has."""
    chosen = [examples[i] for i in at]
    lengths = np.array([len(one.ids) for one in chosen])
    ids = np.full((len(chosen), lengths.max()), PAD, np.int64)
    wanted = np.zeros(ids.shape, bool)
    for row, one in enumerate(chosen):
        ids[row, : len(one.ids)] = one.ids
        wanted[row, : len(one.ids)] = one.supervised
    rows, places = wanted.nonzero()
    pictures = [one.picture for one in chosen]
    seen = None if pictures[0] < 0 else torch.from_numpy(features[pictures].astype(np.float32))
    shift = 0 if seen is None else PLACES
    return Batch(
        np.asarray(at),
        torch.from_numpy(ids),
        torch.from_numpy(lengths),
        seen,
        torch.from_numpy(rows),
        torch.from_numpy(places + shift - 1),
        torch.from_numpy(ids[rows, places]),
    )


def training_batches(examples: Sequence[Example], size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """One epoch: every row once, similar lengths together, in random order; pictures in all of a batch or none."""
    lengths = np.array([len(one.ids) for one in examples])
    seen = np.array([one.picture >= 0 for one in examples])
    order = rng.permutation(len(lengths))
    groups = []
    for kind in (order[seen[order]], order[~seen[order]]):
        for start in range(0, len(kind), 8 * size):
            block = kind[start : start + 8 * size]
            block = block[np.argsort(lengths[block], kind="stable")]
            groups += [block[at : at + size] for at in range(0, len(block), size)]
    for at in rng.permutation(len(groups)):
        yield groups[at]


def reading_batches(lengths: np.ndarray, tokens: int = 1_200) -> Iterator[np.ndarray]:
    """All rows once, ordered by length, so many padded tokens at a time (more don't fit the cache)."""
    order = np.argsort(lengths, kind="stable")[::-1]
    start = 0
    while start < len(order):
        size = max(1, tokens // (PLACES + int(lengths[order[start]])))
        yield order[start : start + size]
        start += size
