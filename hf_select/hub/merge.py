"""Our card in one that is there: its words and metadata stay to the letter, only what is ours is written anew."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

from hf_select.errors import HFSelectError

BEGIN = "<!-- hf_select: this part is written anew by every publish -->"
END = "<!-- hf_select: end -->"
BLOCK = "hf_select"
"""The key of our own metadata; a card that has it is ours."""

_FRONT = re.compile(r"\A\ufeff?\s*---[ \t]*\r?\n(.*?)^---[ \t]*\r?$\n?", re.DOTALL | re.MULTILINE)
_OWNED = (BLOCK, "size_categories", "source_datasets", "configs")
"""Facts about the data: never another tool's once the data are ours."""


def merge_card(existing: str | None, ours: str) -> str:
    """Put our card into one that is there.

    Our text stands between two comments, at the end where the existing card had none. Of the metadata, facts about the
    data are ours (`configs` of other names than ours stay in a card of ours), `dataset_info` of the data that are
    replaced goes, tags are united, and all else that is there stays as it was written. A licence stays too, unless we
    wrote it.

    Args:
        existing: Text of the card that is there, or None.
        ours: Text of the new card, with `hf_select` metadata.

    Raises:
        HFSelectError: The existing card's metadata can't be read.
    """
    front, body = _split(ours)
    data = yaml.safe_load(front)
    marked = f"{BEGIN}\n{body.strip()}\n{END}\n"
    if existing is None:
        return _joined(_dumped(data), marked)
    kept, words = _split(existing)
    known = read_metadata(existing)
    merged = _joined(_merged_front(kept, known, data), _merged_words(words, marked))
    read_metadata(merged)
    return merged


def read_metadata(card: str) -> dict[str, Any]:
    """Return the metadata of a card, empty where it has none.

    Raises:
        HFSelectError: They are no YAML mapping.
    """
    front, _ = _split(card)
    try:
        data = yaml.safe_load(front) or {}
    except yaml.YAMLError as error:
        told = " ".join(str(error).split())
        raise HFSelectError(f"the metadata of the card that is there can't be read: {told}; mend it first.") from error
    if not isinstance(data, dict):
        raise HFSelectError("the metadata of the card that is there is no mapping; mend it first.")
    return data


def _merged_words(words: str, marked: str) -> str:
    start, stop = words.find(BEGIN), words.rfind(END)
    if 0 <= start < stop:
        return words[:start] + marked + words[stop + len(END) :].removeprefix("\r").removeprefix("\n")
    return f"{words.rstrip()}\n\n{marked}".lstrip("\n")


def _merged_front(front: str, known: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    new = {name: ours.get(name) for name in _OWNED}
    new["tags"] = _listed(known.get("tags")) + [tag for tag in ours["tags"] if tag not in _listed(known.get("tags"))]
    new["configs"] = _others(known.get("configs"), known, ours) + (ours.get("configs") or [])
    new["dataset_info"] = _others(known.get("dataset_info"), known, ours)
    block = known.get(BLOCK)
    if isinstance(block, dict) and block.get("license") == known.get("license"):
        new["license"] = ours.get("license")
    new |= {name: value for name, value in ours.items() if name not in known and name not in new}
    parts, written = [], set()
    for name, text in _blocks(front):
        if name not in new or new[name] == known.get(name):
            parts.append(text if text.endswith("\n") else f"{text}\n")
        elif name not in written and new[name]:
            parts.append(_dumped({name: new[name]}))
        written.add(name)
    left = {name: new[name] for name in (*ours, *new) if name in new and name not in written and new[name]}
    return "".join(parts) + _dumped(left)


def _others(entries: Any, known: Mapping[str, Any], ours: Mapping[str, Any]) -> list[Any]:
    """The configurations of a card of ours that we don't write now; another tool's data are replaced with its own."""
    names = {"default", *(config["config_name"] for config in ours.get("configs") or [])}
    if BLOCK not in known:
        return []
    return [one for one in _listed(entries) if isinstance(one, dict) and one.get("config_name", "default") not in names]


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else [] if value is None else [value]


def _blocks(front: str) -> list[tuple[str, str]]:
    """Cut metadata into the text of each top-level key, comments with the key before them."""
    root = yaml.compose(front, Loader=yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode):
        return [("", front)] if front.strip() else []
    if root.flow_style:
        return [(str(name), _dumped({name: value})) for name, value in yaml.safe_load(front).items()]
    lines = front.splitlines(keepends=True)
    starts = [key.start_mark.line for key, _ in root.value]
    names = [str(key.value) for key, _ in root.value]
    stops = [*starts[1:], len(lines)]
    head = [("", "".join(lines[: starts[0]]))] if starts[0] else []
    spans = zip(names, starts, stops, strict=True)
    return head + [(name, "".join(lines[start:stop])) for name, start, stop in spans]


def _split(card: str) -> tuple[str, str]:
    found = _FRONT.match(card)
    return ("", card) if found is None else (found[1], card[found.end() :])


def _dumped(data: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(data), sort_keys=False, allow_unicode=True, width=120) if data else ""


def _joined(front: str, body: str) -> str:
    return f"---\n{front}---\n\n{body.lstrip()}"
