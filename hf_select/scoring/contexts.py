"""What the model is shown before each answer: one small function per context, and the table of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from hf_select.errors import UnknownName
from hf_select.pool.images import RowImage
from hf_select.pool.row import IMAGE, Message, Part, Row
from hf_select.scoring.prompts import RowProblem

ASK = "Based on the image, what is the likely question?"
ASK_WITH_ANSWER = "Based on the image and answer, what is the likely question? Answer: "


@dataclass(frozen=True)
class Prompt:
    """Messages and the images for their image places, in order; the supervised assistant texts are scored."""

    messages: tuple[Message, ...]
    images: tuple[RowImage, ...]


def full(row: Row) -> Prompt:
    """The row as it is, up to its last answer: what comes after can't change an answer's loss."""
    supervised = (i for i, m in enumerate(row.messages) if m.role == "assistant" and m.supervised)
    last = max(supervised, default=-1)
    messages = row.messages[: last + 1]
    return Prompt(messages, row.images[: sum(m.n_images for m in messages)])


def no_question(row: Row) -> Prompt:
    """The user's texts dropped turn by turn: pictures, the system text, the answers and the order of roles stay.

    Both contexts of a row then have the same answer tokens, and roles alternate as they did. PreSel's published code
    does it as `joined_answers` (arXiv 2503.07591, IRS denominator).
    """
    prompt = full(row)
    return replace(prompt, messages=tuple(_without_text(m) if m.role == "user" else m for m in prompt.messages))


def joined_answers(row: Row) -> Prompt:
    """All pictures in one user turn, then all answers joined by one blank: the form of PreSel's published code.

    Where it differs from `no_question`: of a row with the turns (Q1, "two"), (Q2, "red"), `no_question` scores
    "two<end>" behind the picture and then "red<end>" behind another, empty user turn;
    this scores "two red<end>", and "red" directly behind "two". Rows of one turn are alike in both. The
    published code breaks the template where a picture stands in a later user turn or in two; here all pictures come
    first. A row without pictures gets an empty user turn (status "template" where the chat template refuses that).
    """
    prompt = full(row)
    system = tuple(m for m in prompt.messages if m.role == "system")
    answers = " ".join(m.text for m in prompt.messages if m.role == "assistant" and m.supervised)
    user = Message("user", (IMAGE,) * len(prompt.images) or (Part(""),))
    return Prompt((*system, user, Message("assistant", (Part(answers),))), prompt.images)


def no_image(row: Row) -> Prompt:
    """The pictures dropped and everything else kept."""
    messages = (replace(m, parts=tuple(p for p in m.parts if not p.is_image)) for m in full(row).messages)
    return Prompt(tuple(messages), ())


def inverse(row: Row) -> Prompt:
    """The question as what is scored: turn by turn, the model is shown pictures and answer and asked for the question.

    Each turn becomes a user turn of its pictures and "Based on the image and answer, what is the likely question?
    Answer: " with the answer behind it, and an assistant turn of its question: texts of the turn joined by line breaks,
    without blanks around them. It carries loss where the answer did, and the system text stays. A turn without a
    question (a picture alone, an answer behind an answer) is left out and its pictures are shown with the next one.

    DICS (its RIC) asks for every question on its own and takes the mean of the turns' mean losses.
    Here it is one conversation and one forward, so that a question is predicted behind the earlier turns as its answer
    is in `full`, and a derived mean is over tokens. Rows of one turn are alike in both. A row without pictures gets the
    same words, although there is no image.

    Raises:
        RowProblem: "no_supervised_tokens", if no turn whose answer carries loss has a question with text.
    """
    return _inverse(row, lambda answer: ASK_WITH_ANSWER + answer)


def inverse_no_answer(row: Row) -> Prompt:
    """As `inverse`, with "Based on the image, what is the likely question?" and no answer."""
    return _inverse(row, lambda _: ASK)


CONTEXTS: Mapping[str, Callable[[Row], Prompt]] = MappingProxyType(
    {
        "full": full,
        "no_question": no_question,
        "joined_answers": joined_answers,
        "no_image": no_image,
        "inverse": inverse,
        "inverse_no_answer": inverse_no_answer,
    }
)
"""Every context by name. A new one is a function here; the supervised assistant texts it returns are what is scored."""


def known_context(name: str) -> str:
    """Return `name` if there is such a context, or raise `UnknownName`."""
    if name not in CONTEXTS:
        raise UnknownName("context", name, CONTEXTS)
    return name


def prompt_of(row: Row, context: str) -> Prompt:
    """Return the prompt of `row` in `context`.

    Raises:
        UnknownName: If there is no such context.
        RowProblem: If the row has nothing that could be scored in it.
    """
    return CONTEXTS[known_context(context)](row)


def _without_text(message: Message) -> Message:
    return replace(message, parts=tuple(part for part in message.parts if part.is_image) or (Part(""),))


def _inverse(row: Row, prompt: Callable[[str], str]) -> Prompt:
    shown = full(row)
    messages: list[Message] = []
    places, texts = 0, []
    for message in shown.messages:
        if message.role == "system":
            messages.append(message)
        elif message.role == "user":
            places += message.n_images
            texts.append(message.text)
        else:
            question = "\n".join(texts).strip()
            texts = []
            if question:
                asked = Message("user", (*(IMAGE,) * places, Part(prompt(message.text))))
                messages += [asked, Message("assistant", (Part(question),), message.supervised)]
                places = 0
    if not any(message.role == "assistant" and message.supervised for message in messages):
        raise RowProblem("no_supervised_tokens", "the row has no question with text, so none can be asked for")
    return Prompt(tuple(messages), shown.images[: len(shown.images) - places])
