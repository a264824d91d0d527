"""Putting a row together: images to their places, what carries loss, and which rows can't be used.

Rules, the same for every schema:

- Image places are the typed image parts of a row; in a row without any, the placeholders in its user texts.
- As many places as images, or the row is "invalid". Images without any place stand before the first user text.
- A placeholder in a row without image is a word of the text, unless it opens a text or has its own line: then an image
  was lost, and the row is "invalid".
- Assistant turns before the first user turn are left out (most chat templates refuse them); so are user turns after the
  last answer, with their images. A row without any assistant turn is "invalid".
- Texts are taken as they are, blanks included: nothing is stripped, neither here nor for scoring.
"""

from __future__ import annotations

from collections.abc import Sequence

from hf_select.pool.images import RowImage
from hf_select.pool.row import IMAGE, Message, Part, Row
from hf_select.pool.text import placeholder_of, split, stands_alone
from hf_select.pool.turns import RowFault, Slot, Turn

_Pieces = list[tuple[Turn, list[Part], list[RowImage | None]]]


def build(
    turns: Sequence[Turn],
    images: Sequence[RowImage | None],
    *,
    id: str | None,
    task: str | None,
    allow_urls: bool = False,
) -> Row:
    """Build the row view.

    Args:
        turns: All turns in order, system turns included.
        images: The row's image columns in order; None for a null inside a list.
        id: The row's own id, for reasons.
        task: The task label.
        allow_urls: Whether images named by URLs are fetched when they are read; else they are refused.

    Raises:
        RowFault: "invalid", for a row that has no usable messages.
    """
    given = [image for image in images if image is not None]
    notes = ["image_null"] if len(given) < len(images) else []
    pieces = _places(turns, given, notes)
    messages, used = _messages(pieces, notes)
    return _row(messages, used, notes, id=id, task=task, allow_urls=allow_urls)


def build_pictures(
    images: Sequence[RowImage | None], *, id: str | None, task: str | None, allow_urls: bool = False
) -> Row:
    """Build the row view of pictures without instructions: one user message of image places.

    Args:
        images: The row's image columns in order; None for a null inside a list.
        id: The row's own id, for reasons.
        task: The task label.
        allow_urls: As in `build`.

    Raises:
        RowFault: "no_image", for a row without a picture.
    """
    used = [image for image in images if image is not None]
    if not used:
        raise RowFault("no_image", "has no picture, and nothing else of it is looked at")
    notes = ["image_null"] if len(used) < len(images) else []
    return _row([Message("user", (IMAGE,) * len(used))], used, notes, id=id, task=task, allow_urls=allow_urls)


def _row(
    messages: Sequence[Message],
    images: Sequence[RowImage],
    notes: Sequence[str],
    *,
    id: str | None,
    task: str | None,
    allow_urls: bool,
) -> Row:
    if allow_urls:
        images = [image.with_urls() for image in images]
    status, reason = "ok", ""
    for image in images:
        problem = image.problem()
        if problem is not None:
            status, reason = problem[0], f"{named(id)}: {problem[1]}"
            break
    return Row(tuple(messages), tuple(images), task, id, status, reason, tuple(notes))


def named(id: str | None) -> str:
    """How messages call a row."""
    return "a row without id" if id is None else f"row {id!r}"


def _places(turns: Sequence[Turn], images: list[RowImage], notes: list[str]) -> _Pieces:
    contents = [(turn, (turn.content,) if isinstance(turn.content, str) else turn.content) for turn in turns]
    slots = [piece for _, content in contents for piece in content if isinstance(piece, Slot)]
    if slots:
        return _typed(contents, _fill(slots, images))
    texts = [str(piece) for turn, content in contents if turn.role == "user" for piece in content]
    mark = placeholder_of(texts)
    if mark is not None and not images and "image_null" not in notes and not any(stands_alone(t, mark) for t in texts):
        mark = None
    pending = iter(images)
    pieces: _Pieces = []
    n_places = 0
    for turn, content in contents:
        parts: list[Part] = []
        for text in content:
            cut = split(str(text), mark) if mark is not None and turn.role == "user" else (Part(str(text)),)
            parts.extend(cut)
        n_here = sum(part.is_image for part in parts)
        n_places += n_here
        pieces.append((turn, parts, [next(pending, None) for _ in range(n_here)]))
    if mark is not None:
        _same_number(n_places, len(images))
    elif images:
        notes.append("image_placed")
        first = next((piece for piece in pieces if piece[0].role == "user"), None)
        if first is None:
            raise RowFault("invalid", f"has {len(images)} image(s) and no user turn to show them in")
        first[1][:0] = [IMAGE] * len(images)
        first[2][:0] = images
    return pieces


def _fill(slots: list[Slot], images: list[RowImage]) -> list[RowImage]:
    inline = [slot.image for slot in slots]
    n_open = sum(image is None for image in inline)
    if len(images) == len(slots) and n_open == len(slots):
        return images
    if n_open == 0 and len(images) in (0, len(slots)):
        return [image for image in inline if image is not None]
    _same_number(len(slots), len(slots) - n_open + len(images))
    pending = iter(images)
    return [next(pending) if image is None else image for image in inline]


def _typed(contents: list[tuple[Turn, tuple[str | Slot, ...]]], images: list[RowImage]) -> _Pieces:
    pending = iter(images)
    pieces: _Pieces = []
    for turn, content in contents:
        parts = [IMAGE if isinstance(piece, Slot) else Part(piece) for piece in content if piece != ""]
        pieces.append((turn, parts, [next(pending) for part in parts if part.is_image]))
    return pieces


def _same_number(n_places: int, n_images: int) -> None:
    if n_places != n_images:
        raise RowFault("invalid", f"has {n_places} image place(s) in its text but {n_images} image(s)")


def _messages(pieces: _Pieces, notes: list[str]) -> tuple[list[Message], list[RowImage]]:
    first_user = next((at for at, piece in enumerate(pieces) if piece[0].role == "user"), len(pieces))
    kept = [piece for at, piece in enumerate(pieces) if at > first_user or piece[0].role != "assistant"]
    if len(kept) < len(pieces):
        notes.append("leading_assistant")
    last = max((at for at, (turn, *_) in enumerate(kept) if turn.role == "assistant" and turn.supervised), default=None)
    if last is None:
        where = " after its first user turn" if "leading_assistant" in notes else ""
        raise RowFault("invalid", f"has no assistant turn{where}, so there is nothing to learn from it")
    if last + 1 < len(kept):
        notes.append("trailing_user")
    messages: list[Message] = []
    images: list[RowImage] = []
    for turn, parts, here in kept[: last + 1]:
        messages.append(Message(turn.role, tuple(parts), turn.supervised))
        images.extend(image for image in here if image is not None)
    return messages, images
