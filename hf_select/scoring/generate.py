"""Answers of a vision-language model to rows, in batches: greedy, unless a task asks for something else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from hf_select.errors import HFSelectError, UsageError
from hf_select.pool.row import OK, Row

if TYPE_CHECKING:
    from transformers import PreTrainedModel, ProcessorMixin

GREEDY: Mapping[str, Any] = MappingProxyType(
    {"do_sample": False, "num_beams": 1, "temperature": None, "top_p": None, "top_k": None}
)
"""Overrides whatever a checkpoint's own generation settings say."""


def generate_answers(
    model: PreTrainedModel,
    processor: ProcessorMixin,
    rows: Sequence[Row],
    *,
    batch_size: int = 16,
    max_new_tokens: int = 32,
    decoding: Mapping[str, Any] = GREEDY,
) -> list[str]:
    """Return the model's answer to each row's last question, stripped, in the order of `rows`.

    A row's own last answer is never shown to the model; earlier turns are. Prompts are padded at the left, rows with
    and without pictures go in batches of their own, and an answer does not depend on its neighbours.

    Args:
        model: From `hf_select.scoring.model.load_vlm`.
        processor: Its processor, with a chat template.
        rows: Row views; pictures are opened here, a batch at a time.
        batch_size: Rows in one call of `generate`; halved when the device runs out of memory.
        max_new_tokens: Longest answer in tokens.
        decoding: Settings of `generate` in place of greedy ones.

    Raises:
        UsageError: A row can't be used (its status is named); answers are never left out or made up.
        hf_select.pool.images.ImageProblem: A picture can't be opened.
        HFSelectError: A single row needs more memory than the device has.

    Cost: one forward pass a row plus one step a new token and batch.
    """
    for number, row in enumerate(rows):
        if row.status != OK:
            raise UsageError(f"row {row.id or number} can't be asked ({row.status}): {row.reason}")
    options = {**GREEDY, **decoding, "max_new_tokens": max_new_tokens}
    answers: dict[int, str] = {}
    for pictured in (True, False):
        waiting = [number for number, row in enumerate(rows) if bool(row.images) == pictured]
        size = batch_size
        while waiting:
            now = waiting[:size]
            texts = _try_batch(model, processor, [rows[number] for number in now], options)
            if texts is None:
                if len(now) == 1:
                    raise HFSelectError(f"row {rows[now[0]].id or now[0]} alone needs more memory than the device has.")
                size = len(now) // 2
                continue
            answers.update(zip(now, texts, strict=True))
            waiting = waiting[size:]
    return [answers[number] for number in range(len(rows))]


def _try_batch(model: Any, processor: Any, rows: Sequence[Row], options: dict[str, Any]) -> list[str] | None:
    import torch

    try:
        return _batch(model, processor, rows, options)
    except torch.OutOfMemoryError:
        torch.cuda.empty_cache()
        return None


def _batch(model: Any, processor: Any, rows: Sequence[Row], options: dict[str, Any]) -> list[str]:
    import torch

    tokenizer = processor.tokenizer
    inputs = processor.apply_chat_template(
        [conversation(row) for row in rows],
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
        add_generation_prompt=True,
        processor_kwargs={"padding": True, "padding_side": "left"},
    ).to(model.device)
    inputs = {k: v.to(model.dtype) if v.is_floating_point() else v for k, v in inputs.items()}
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    stops = model.generation_config.eos_token_id
    with torch.inference_mode():
        made = model.generate(
            **inputs,
            **options,
            pad_token_id=pad,
            eos_token_id=tokenizer.eos_token_id if stops is None else stops,
        )
    new = made[:, inputs["input_ids"].shape[1] :]
    return [text.strip() for text in tokenizer.batch_decode(new, skip_special_tokens=True)]


def conversation(row: Row) -> list[dict[str, Any]]:
    """Return the messages of `row` without its last answer, as a chat template wants them, pictures opened."""
    messages = list(row.messages)
    while messages and messages[-1].role == "assistant":
        messages.pop()
    pictures = iter(row.images)
    return [
        {
            "role": message.role,
            "content": [
                {"type": "image", "image": next(pictures).open()}
                if part.is_image
                else {"type": "text", "text": part.text}
                for part in message.parts
            ],
        }
        for message in messages
    ]
