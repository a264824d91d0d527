"""From a row to the tensors of a model, with labels on exactly the answers: for scoring and training alike."""

from __future__ import annotations

import bisect
import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hf_select.errors import UsageError
from hf_select.pool.images import ImageProblem, RowImage
from hf_select.scoring.contexts import Prompt, prompt_of
from hf_select.scoring.image_memo import ImageMemo
from hf_select.scoring.prompts import ChatTemplate, Rendered, RowProblem

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import ProcessorMixin

    from hf_select.pool.row import Row

__all__ = ["ChatEncoder", "Encoded", "RowProblem"]

IGNORED = -100
_TEXT_INPUTS = ("input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids", "cross_attention_mask")


@dataclass(frozen=True)
class Encoded:
    """One row in one context.

    Attributes:
        text: The rendered conversation, before image places are expanded.
        answers: (start, end) characters of each answer in `text`.
        inputs: What the model's forward takes, each tensor with a leading dimension as the processor gives it;
            `input_ids` is int64 of shape (1, length).
        labels: int64 (1, length): the token where it is supervised, else -100; not shifted.
        n_tokens: Length of the whole row in tokens, image tokens included.
        n_images: How many pictures it has.
    """

    text: str
    answers: tuple[tuple[int, int], ...]
    inputs: dict[str, Tensor]
    labels: Tensor
    n_tokens: int
    n_images: int

    @property
    def n_supervised(self) -> int:
        """How many tokens carry loss."""
        return int((self.labels[:, 1:] != IGNORED).sum())


class ChatEncoder:
    """Encodes rows with a processor's own chat template; supervised are the answers and their end-of-turn tokens.

    Args:
        processor: Of any image-text-to-text model, with a chat template and a fast tokenizer.
        max_length: The window in tokens (image tokens count), or None for no limit. Nothing is truncated: a row that
            doesn't fit is refused with a status.
    """

    def __init__(self, processor: ProcessorMixin, max_length: int | None = None) -> None:
        if max_length is not None and max_length < 1:
            raise UsageError(f"max_length is {max_length}: give the window in tokens, at least 1.")
        self.processor = copy.copy(processor)
        self.processor.image_processor = ImageMemo(processor.image_processor)
        self.max_length = max_length
        self._template = ChatTemplate(processor)
        self._opened: tuple[tuple[RowImage, ...], list[Any]] = ((), [])

    def encode(self, row: Row, context: str = "full") -> Encoded:
        """Encode one row.

        Consecutive calls for the same row open and process its pictures once. Cost: two template renderings, one
        tokenization, and the processor's work on the pictures.

        Args:
            row: A row with status "ok".
            context: A name of `hf_select.scoring.contexts.CONTEXTS`.

        Raises:
            RowProblem: If the row can't be encoded right, with status and reason. Never a shifted or empty mask.
        """
        prompt = prompt_of(row, context)
        if not any(answer.strip() for answer in row.answers):
            raise RowProblem("no_supervised_tokens", "the row has no answer with text")
        rendered = self._template.render(prompt.messages)
        batch = self._process(rendered, prompt)
        labels, n_image_tokens = self._labels(rendered, batch)
        n_tokens = labels.shape[1]
        end = self._end(row, labels, n_image_tokens)
        inputs = {name: v[:, :end] if name in _TEXT_INPUTS else v for name, v in batch.items()}
        return Encoded(rendered.text, rendered.answers, inputs, labels[:, :end], n_tokens, len(prompt.images))

    def collate(self, rows: Sequence[Encoded]) -> dict[str, Tensor]:
        """Put rows into one batch, padded on the right whatever the tokenizer's own padding side is.

        Tensors are joined along their first dimension; other dimensions that differ (text length, patches, tiles,
        pixels) are filled with zeros at the end, which every family of transformers reads as padding.

        Args:
            rows: At least one. Rows with and without pictures may be mixed only where the model keeps pictures of
                all rows in one flat list; scoring never mixes them.

        Returns:
            `input_ids`, `attention_mask`, `labels` (-100 where not supervised, not shifted) and the vision inputs.
        """
        names = dict.fromkeys(name for row in rows for name in row.inputs)
        batch = {
            name: _join([row.inputs[name] for row in rows if name in row.inputs], self._pad(name)) for name in names
        }
        batch["labels"] = _join([row.labels for row in rows], IGNORED)
        return batch

    def _pad(self, name: str) -> int:
        if name != "input_ids":
            return 0
        tokenizer = self.processor.tokenizer
        known = (tokenizer.pad_token_id, tokenizer.eos_token_id, 0)
        return next(token for token in known if token is not None)

    def _process(self, rendered: Rendered, prompt: Prompt) -> dict[str, Any]:
        token = getattr(self.processor, "image_token", None)
        if token is not None and rendered.text.count(token) != len(prompt.images):
            raise RowProblem(
                "template",
                f"the prompt has {rendered.text.count(token)} places {token!r} for {len(prompt.images)} pictures: a "
                "text of the row contains the place's name, or the chat template leaves a picture out",
            )
        images = self._open(prompt.images)
        bos = self.processor.tokenizer.bos_token
        try:
            return self.processor(
                text=[rendered.text],
                images=[images] if images else None,
                return_tensors="pt",
                padding=False,
                truncation=False,
                add_special_tokens=bos is None or not rendered.text.startswith(bos),
                return_offsets_mapping=True,
                return_text_replacement_offsets=True,
            )
        except (ValueError, ArithmeticError, IndexError) as error:
            # A side that rounds to 0 ends in a division by it, or in an empty list of tiles.
            what = "image_unreadable" if images else "template"
            raise RowProblem(what, f"the model's processor refuses this row: {error!r:.300}") from error

    def _open(self, images: tuple[RowImage, ...]) -> list[Any]:
        known, opened = self._opened
        if len(known) != len(images) or any(a is not b for a, b in zip(known, images, strict=True)):
            try:
                opened = [image.open() for image in images]
            except ImageProblem as error:
                raise RowProblem(error.status, error.reason) from error
            self._opened = (images, opened)
        return opened

    def _labels(self, rendered: Rendered, batch: dict[str, Any]) -> tuple[Tensor, int]:
        """Return the labels and the number of image tokens; takes the two offset entries out of `batch`."""
        import torch

        offsets = batch.pop("offset_mapping")[0].tolist()
        replaced = next(iter(batch.pop("text_replacement_offsets", [])), [])
        ids = batch["input_ids"][0].tolist()
        stops = [r["span"][1] for r in replaced]
        gained = [0, *(r["new_span"][1] - r["span"][1] for r in replaced)]
        labels = torch.full((1, len(ids)), IGNORED)
        for (start, stop), end in zip(rendered.answers, rendered.ends, strict=True):
            shift = gained[bisect.bisect_right(stops, start)]
            chosen = _tokens_of(rendered.text, start, stop, shift, offsets)
            self._verify([ids[i] for i in chosen], rendered.text[start:stop])
            if end is not None:
                chosen.append(self._end_token(rendered.text, end, shift, ids, offsets))
            labels[0, chosen] = batch["input_ids"][0, chosen]
        return labels, self._count_image_tokens(ids, offsets, [r["new_span"] for r in replaced])

    def _verify(self, ids: list[int], answer: str) -> None:
        """Refuse unless the supervised tokens read as the answer, or as what this tokenizer makes of it."""
        tokenizer = self.processor.tokenizer
        read = tokenizer.decode(ids)
        if _letters(read) == _letters(answer):
            return
        if _letters(read) != _letters(tokenizer.decode(tokenizer(answer, add_special_tokens=False)["input_ids"])):
            raise RowProblem("template", f"the supervised tokens read {read[:60]!r} instead of {answer[:60]!r}")

    def _end_token(self, text: str, end: tuple[int, int], shift: int, ids: list[int], offsets: list[list[int]]) -> int:
        wanted = self.processor.tokenizer.convert_tokens_to_ids(text[slice(*end)])
        start, stop = end[0] + shift, end[1] + shift
        for i, (left, right) in enumerate(offsets):
            if ids[i] == wanted and left < stop and right > start:
                return i
        raise RowProblem("template", f"the end-of-turn text {text[slice(*end)]!r} is no token where it stands")

    def _count_image_tokens(self, ids: list[int], offsets: list[list[int]], spans: list[tuple[int, int]]) -> int:
        """Count the tokens of the expanded image places; an image token outside them would shift the features."""
        inside = [any(start <= left and right <= stop for start, stop in spans) for left, right in offsets]
        images = set(getattr(self.processor, "image_token_ids", ())) - {None}
        stray = next((t for t, ok in zip(ids, inside, strict=True) if spans and not ok and t in images), None)
        if stray is not None:
            name = self.processor.tokenizer.convert_ids_to_tokens(stray)
            raise RowProblem("template", f"a text of the row contains {name!r}, which the model reads as a picture")
        return sum(ok and right > left for ok, (left, right) in zip(inside, offsets, strict=True))

    def _end(self, row: Row, labels: Tensor, n_image_tokens: int) -> int:
        """Return where the row may be cut (behind its last supervised token), or refuse it."""
        supervised = (labels[0] != IGNORED).nonzero().flatten().tolist()
        if not supervised or supervised[-1] == 0:
            raise RowProblem("no_supervised_tokens", "no token of the row is supervised")
        window, end = self.max_length, supervised[-1] + 1
        if window is None or end <= window:
            return end
        name = "the row" if row.id is None else f"row {row.id!r}"
        size = f"{name} has {labels.shape[1]} tokens, {n_image_tokens} of them for pictures; the window is {window}"
        if n_image_tokens > window:
            raise RowProblem("too_long", f"{size}, less than the pictures need")
        if supervised[0] >= window:
            raise RowProblem("no_supervised_tokens", f"{size} and ends before the first answer")
        raise RowProblem("truncated", f"{size} and ends before the last answer does")


def _tokens_of(text: str, start: int, stop: int, shift: int, offsets: list[list[int]]) -> list[int]:
    """Return the tokens that overlap text[start:stop]; what they hold beside it must be blank.

    Args:
        text: The rendered conversation before image places are expanded.
        start: First character of the answer in `text`.
        stop: Behind its last character.
        shift: How many characters the expanded places before `start` add.
        offsets: (start, end) characters of each token in the expanded text.
    """
    chosen = [i for i, (left, right) in enumerate(offsets) if left < stop + shift and right > start + shift]
    if chosen:
        before = text[offsets[chosen[0]][0] - shift : start]
        after = text[stop : max(offsets[i][1] for i in chosen) - shift]
        if before.strip() or after.strip():
            raise RowProblem("template", f"one token holds {(before + after).strip()!r} of the prompt and the answer")
    return chosen


def _letters(text: str) -> str:
    return "".join(text.split())


def _join(tensors: list[Tensor], fill: int) -> Tensor:
    """Concatenate along the first dimension; every other one is padded at its end to the longest."""
    import torch

    sizes = [max(size) for size in zip(*(t.shape[1:] for t in tensors), strict=True)]
    padded = []
    for tensor in tensors:
        missing = [(0, size - have) for size, have in zip(sizes, tensor.shape[1:], strict=True)]
        widths = [width for pair in reversed(missing) for width in pair]
        padded.append(torch.nn.functional.pad(tensor, widths, value=fill) if any(widths) else tensor)
    return torch.cat(padded)
