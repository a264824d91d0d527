"""From a model's answer to question and answer pairs, or to why not."""

from __future__ import annotations

import json
import re
from typing import Any

from hf_select.annotate.annotator import Turns

MAX_TURNS = 20
PLACE = "<image>"
"""What LLaVA's files write where a picture belongs."""
_THOUGHT = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)
_FENCE = re.compile(r"^```[\w-]*\s*\n(.*?)\n?```\s*$", re.DOTALL)
_REFUSAL = re.compile(
    r"\W*(i['’]?m (very )?sorry|sorry|i apologi[sz]e|as an ai|"
    r"i (can['’]?t|cannot|can not|am unable|won['’]?t|am not able))\b",
    re.IGNORECASE,
)
_HALF = re.compile("[\ud800-\udfff]")
_MARK = re.compile(r"<image>|<video>", re.IGNORECASE)

FORMAT = (
    'Reply with JSON only, no other words: {"turns": [{"question": "...", "answer": "..."}]}. '
    "Every question and answer is a text that is not empty."
)
REMINDER = "Your last reply could not be read. " + FORMAT


class Unreadable(ValueError):
    """An answer that holds no instruction.

    Attributes:
        status: "refused", "empty" or "unparsable".
    """

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def parse_turns(text: str) -> Turns:
    """Read the question and answer pairs of a model's answer.

    A model's thoughts in front, a fence of backquotes around the JSON and words before and after the outermost braces
    are tolerated; what the JSON says is not guessed at.

    Raises:
        Unreadable: With status "empty", "refused" (the text opens with an apology and holds no JSON) or "unparsable".
    """
    bare = _THOUGHT.sub("", text).strip()
    if not bare:
        raise Unreadable("empty", "the answer is empty")
    fenced = _FENCE.match(bare)
    body = fenced[1] if fenced else bare
    start, stop = body.find("{"), body.rfind("}")
    if start < 0 or stop < start:
        if _REFUSAL.match(bare):
            raise Unreadable("refused", f"the annotator refuses: {bare[:100]!r}")
        raise Unreadable("unparsable", f"the answer holds no JSON: {bare[:100]!r}")
    try:
        data = json.loads(body[start : stop + 1])
    except (ValueError, RecursionError) as error:
        raise Unreadable("unparsable", f"the answer's JSON can't be read: {error}") from error
    return _turns(data)


def _turns(data: Any) -> Turns:
    turns = data.get("turns") if isinstance(data, dict) else None
    if not isinstance(turns, list) or not 1 <= len(turns) <= MAX_TURNS:
        raise Unreadable("unparsable", f'the answer\'s JSON has no list "turns" of 1 to {MAX_TURNS} entries')
    return tuple(_turn(number, turn) for number, turn in enumerate(turns, 1))


def _turn(number: int, turn: Any) -> tuple[str, str]:
    texts = []
    for name in ("question", "answer"):
        value = turn.get(name) if isinstance(turn, dict) else None
        if not isinstance(value, str) or not value.strip():
            raise Unreadable("unparsable", f"turn {number} has no {name}")
        if _HALF.search(value):
            raise Unreadable("unparsable", f"the {name} of turn {number} contains half a character (a lone surrogate)")
        if _MARK.search(value):
            raise Unreadable("unparsable", f"the {name} of turn {number} contains the mark of a picture's place")
        texts.append(value.strip())
    return texts[0], texts[1]
