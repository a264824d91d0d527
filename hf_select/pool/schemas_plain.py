"""Adapters of the schemas that keep questions and answers in columns of their own, and of Data-Juicer's text."""

from __future__ import annotations

import re
from dataclasses import replace

from hf_select.pool.schema import Record, images_of
from hf_select.pool.turns import RowFault, Turn, as_text, read_turns

QUESTIONS = ("question", "query", "prompt", "problem")
ANSWERS = ("answer", "response", "output", "targets", "answers")

_DJ_END = "<|__dj__eoc|>"
_DJ_IMAGE = "<__dj__image>"
_DJ_ROLE = re.compile(r"\s*\[\[(\w+)\]\]:[ \t]?")


def m3it(record: Record, root: str | None) -> list[Turn]:
    """`instruction` and `inputs`, joined by a line break where both are there; `outputs` is the answer."""
    return [Turn("user", _joined(record, "instruction", "inputs")), _answer(record, "outputs")]


def alpaca(record: Record, root: str | None) -> list[Turn]:
    """`history` pairs, then `instruction` and `input` joined by a line break; `output` is the answer."""
    turns: list[Turn] = []
    if isinstance(record.get("system"), str) and record["system"]:
        turns.append(Turn("system", record["system"]))
    history = record.get("history") or []
    if not isinstance(history, list | tuple):
        raise RowFault("invalid", f"has {history!r:.60} in 'history' instead of a list of pairs")
    for pair in history:
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise RowFault("invalid", f"has {pair!r:.60} in 'history' instead of a pair of question and answer")
        turns += [Turn("user", as_text(pair[0])), Turn("assistant", as_text(pair[1]))]
    return [*turns, Turn("user", _joined(record, "instruction", "input")), _answer(record, "output")]


def prompt_completion(record: Record, root: str | None) -> list[Turn]:
    """Only the completion is supervised; assistant turns inside the prompt are context."""
    prompt, completion = record.get("prompt"), record.get("completion")
    before = [Turn("user", prompt)] if isinstance(prompt, str) else read_turns(prompt, root)
    after = [Turn("assistant", completion)] if isinstance(completion, str) else read_turns(completion, root)
    return [*(replace(turn, supervised=turn.role != "assistant") for turn in before), *after]


def question_answer(record: Record, root: str | None) -> list[Turn]:
    """The first question column with a value, and the first answer column; of several right answers the first."""
    question = next((record[name] for name in QUESTIONS if record.get(name) is not None), None)
    if question is None:
        raise RowFault("invalid", f"has no question in any of {', '.join(QUESTIONS)}")
    asked = read_turns(question, root) if isinstance(question, list) else [Turn("user", as_text(question))]
    for name in ANSWERS:
        value = record.get(name)
        if isinstance(value, list):
            value = next((answer for answer in value if answer is not None), None)
        if value is not None:
            return [*asked, Turn("assistant", as_text(value))]
    raise RowFault("invalid", f"has no assistant turn: no answer in any of {', '.join(ANSWERS)}")


def data_juicer(record: Record, root: str | None) -> list[Turn]:
    """Turns marked [[human]]: and [[gpt]]:; or one chunk of images and a caption, read as LLaVA's pretraining form.

    Any other text has nobody who answers, and is "invalid". Blanks around the end-of-chunk mark belong to the format.
    """
    text = as_text(record.get("text"))
    marks = list(_DJ_ROLE.finditer(text))
    if marks:
        turns = []
        opening = text[: marks[0].start()].strip()
        for mark, following in zip(marks, [*marks[1:], None], strict=True):
            content = text[mark.end() : following.start() if following else len(text)].replace(_DJ_END, "").rstrip()
            turns.append({"from": mark[1], "value": content})
        if opening:
            turns[0]["value"] = f"{opening}\n{turns[0]['value']}"
        return read_turns(turns, root)
    chunks = [chunk for chunk in text.split(_DJ_END) if chunk.strip()]
    caption = chunks[0].replace(_DJ_IMAGE, "").strip() if len(chunks) == 1 else ""
    if not caption or not images_of(record, root):
        raise RowFault("invalid", "has no assistant turn: its text is a document, not a conversation or one caption")
    return [Turn("user", _DJ_IMAGE * chunks[0].count(_DJ_IMAGE)), Turn("assistant", caption)]


def _joined(record: Record, *columns: str) -> str:
    texts = [as_text(record[column]) for column in columns if record.get(column) is not None]
    return "\n".join(text for text in texts if text)


def _answer(record: Record, column: str) -> Turn:
    if record.get(column) is None:
        raise RowFault("invalid", f"has no assistant turn: {column!r} is empty")
    return Turn("assistant", as_text(record[column]))
