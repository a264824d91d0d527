"""Writing a conversation with the model's own chat template, and finding where its answers lie in the text.

Templates rarely say which part is the assistant's. So a conversation is rendered twice, once with a unique mark in
place of each answer: what stands around the marks is the template's structure, and the real rendering must be exactly
that structure with the answers put in. Role marks or end-of-turn text inside an answer therefore never end its span.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hf_select.errors import HFSelectError, UsageError

if TYPE_CHECKING:
    from transformers import ProcessorMixin

    from hf_select.pool.row import Message


class RowProblem(HFSelectError):
    """One row can't be encoded; it costs its own row only.

    Attributes:
        status: "template", "no_supervised_tokens", "truncated" or "too_long", or the status of an image.
        reason: One sentence.
    """

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason

    def __reduce__(self) -> tuple[type[RowProblem], tuple[str, str]]:
        return type(self), (self.status, self.reason)


@dataclass(frozen=True)
class Rendered:
    """A conversation as text.

    Attributes:
        text: What the chat template wrote.
        answers: (start, end) characters of each supervised answer in `text`.
        ends: (start, end) of the end-of-turn token of each supervised answer, or None where the template writes none.
    """

    text: str
    answers: tuple[tuple[int, int], ...]
    ends: tuple[tuple[int, int] | None, ...]


class ChatTemplate:
    """The chat template of a processor: renders messages and knows the structure around the answers.

    A template that would write today's date unless it is told one (`date_string`, as Llama's) is told 26 July 2024, the
    default in Llama's own, so that a row has the same prompt on every day.
    """

    def __init__(self, processor: ProcessorMixin) -> None:
        self._processor = processor
        added = {token.content for token in processor.tokenizer.added_tokens_decoder.values()}
        self._added = sorted((token for token in added if token.strip()), key=len, reverse=True)
        self._date = {"date_string": "26 Jul 2024"} if "date_string" in str(processor.chat_template) else {}
        self._typed = True
        self._typed = self._takes_parts()

    def render(self, messages: tuple[Message, ...]) -> Rendered:
        """Render `messages`, of which at least one is the assistant's.

        Raises:
            RowProblem: "template", if the template refuses the messages or doesn't write every answer as it is.
        """
        answers = [m.text for m in messages if m.role == "assistant"]
        text = self._write(messages, answers)
        salt = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
        marks = [f"A{i}x{salt}" for i in range(len(answers))]
        around = _split(self._write(messages, marks), marks)
        spans = _fill(text, around, answers)
        final = around[-1].lstrip()
        end = next((token for token in self._added if final.startswith(token)), None)
        carries_loss = [m.supervised for m in messages if m.role == "assistant"]
        supervised = [span for span, wanted in zip(spans, carries_loss, strict=True) if wanted]
        return Rendered(text, tuple(supervised), tuple(_end_of_turn(text, stop, end) for _, stop in supervised))

    def _write(self, messages: tuple[Message, ...], answers: list[str]) -> str:
        from jinja2.exceptions import TemplateError

        queue = iter(answers)
        conversation = []
        for message in messages:
            texts = [next(queue)] if message.role == "assistant" else [part.text for part in message.parts] or [""]
            conversation.append({"role": message.role, "content": self._content(texts)})
        try:
            return self._processor.apply_chat_template(
                conversation, tokenize=False, add_generation_prompt=False, **self._date
            )
        except (TemplateError, TypeError, ValueError, KeyError, IndexError) as error:
            raise RowProblem("template", f"the chat template refuses this conversation: {error}") from error

    def _content(self, texts: list[str | None]) -> Any:
        if self._typed:
            return [{"type": "image"} if text is None else {"type": "text", "text": text} for text in texts]
        return "".join(self._image_token() if text is None else text for text in texts)

    def _takes_parts(self) -> bool:
        """Whether the template reads typed parts; one that prints them as Python text takes plain strings instead."""
        from hf_select.pool.row import Message, Part

        probe = (Message("user", (Part("probe"),)), Message("assistant", (Part("probe"),)))
        try:
            text = self._write(probe, ["probe"])
        except RowProblem:
            return False
        return "probe" in text and "{'type'" not in text

    def _image_token(self) -> str:
        token = getattr(self._processor, "image_token", None)
        if token is None:
            raise UsageError("this model's chat template takes no pictures: give one that reads typed content parts.")
        return token


def _split(text: str, marks: list[str]) -> list[str]:
    """Cut `text` at each mark; every mark must be there once, in order."""
    pieces = []
    for mark in marks:
        before, found, text = text.partition(mark)
        if not found or mark in text:
            raise RowProblem("template", "the chat template doesn't write every answer once and in order")
        pieces.append(before)
    return [*pieces, text]


def _fill(text: str, around: list[str], answers: list[str]) -> list[tuple[int, int]]:
    """Find the answers in `text`, which must be `around` with the answers, whole or stripped, in between."""
    if not text.startswith(around[0]):
        raise RowProblem("template", "the chat template writes its prompt differently for different answers")
    at, spans = len(around[0]), []
    for answer, after in zip(answers, around[1:], strict=True):
        forms = dict.fromkeys((answer, answer.strip(), answer.rstrip(), answer.lstrip()))
        form = next((form for form in forms if text.startswith(form + after, at)), None)
        if form is None:
            raise RowProblem("template", "the chat template changes an answer, so its tokens can't be told apart")
        spans.append((at, at + len(form)))
        at += len(form) + len(after)
    if at != len(text):
        raise RowProblem("template", "the chat template writes more than the conversation it was given")
    return spans


def _end_of_turn(text: str, stop: int, token: str | None) -> tuple[int, int] | None:
    rest = text[stop:]
    start = stop + len(rest) - len(rest.lstrip())
    return (start, start + len(token)) if token is not None and text.startswith(token, start) else None
