"""The public schemas, one adapter each, in the order in which they are tried.

Several share their columns (LLaVA's three forms, the three chat forms): they are read by the same code, and the name
only says what was found. `llava_pretrain` and every other name can be asked for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from hf_select.errors import UnknownName, UsageError
from hf_select.pool.schema import ID_COLUMNS, IMAGE_COLUMNS, OTHER_MEDIA_COLUMNS, TASK_COLUMNS, Record, Schema
from hf_select.pool.schemas_plain import (
    ANSWERS,
    QUESTIONS,
    alpaca,
    data_juicer,
    m3it,
    prompt_completion,
    question_answer,
)
from hf_select.pool.turns import RowFault, Turn, as_records, read_turns


def _chat(column: str) -> Any:
    def turns(record: Record, root: str | None) -> list[Turn]:
        found = read_turns(record.get(column), root)
        system = record.get("system")
        if isinstance(system, str) and system and not (found and found[0].role == "system"):
            return [Turn("system", system), *found]
        return found

    return turns


def _pretrain(record: Record, root: str | None) -> list[Turn]:
    turns = read_turns(record.get("conversations"), root)
    marks = [re.findall(r"<image>", t.content) for t in turns if t.role == "user" and isinstance(t.content, str)]
    bare = Turn("user", "<image>" * max(1, sum(map(len, marks))))
    return [bare, *(turn for turn in turns if turn.role == "assistant")]


def _refused(record: Record, root: str | None) -> list[Turn]:
    raise AssertionError("a refused schema is never adapted")


def _items(value: Any) -> list[Any]:
    """Turns to recognise a schema by; none where the value holds no turns, which its own row says later."""
    try:
        return as_records(value)
    except RowFault:
        return []


def _first(value: Any) -> Any:
    return next((item for item in _items(value) if item is not None), None)


def _content(record: Record) -> Any:
    message = _first(record.get("messages"))
    return message.get("content") if isinstance(message, Mapping) else None


def _content_types(record: Record) -> set[Any]:
    parts = (m.get("content") for m in _items(record.get("messages")) if isinstance(m, Mapping))
    return {p.get("type") for c in parts if isinstance(c, list) for p in c if isinstance(p, Mapping)}


def _has_source(record: Record) -> bool:
    parts = (m.get("content") for m in _items(record.get("messages")) if isinstance(m, Mapping))
    return any(p.get("source") for c in parts if isinstance(c, list) for p in c if isinstance(p, Mapping))


def _has_role(turn: Any) -> bool:
    return isinstance(turn, Mapping) and "role" in turn


def _is_document(columns: frozenset[str], record: Record) -> bool:
    return bool(columns & {"metadata", "general_metadata"}) or isinstance(_first(record.get("texts")), str)


def _cauldron_source(record: Record) -> Any:
    pair = _first(record.get("texts"))
    return pair.get("source") if isinstance(pair, Mapping) else None


def _has_any(*names: str) -> Any:
    return lambda columns, record: bool(columns.intersection(names))


def _no_turns(record: Record, root: str | None) -> list[Turn]:
    return []


def _only_pictures(columns: frozenset[str], record: Record) -> bool:
    """Whether nothing is hidden by reading the pool as pictures: columns with texts have to be hidden on purpose.

    Of a pool that was scored, and so read before, the columns of scores hide nothing either.
    """
    plain = {*IMAGE_COLUMNS, *TASK_COLUMNS, *ID_COLUMNS, "label", "labels", "file_name", "width", "height", "license"}
    return bool(columns & {*IMAGE_COLUMNS}) and (columns <= plain or "row_key" in columns)


_NO_ANSWERS = "it is an interleaved web document with no assistant turn, so it has no answer to score or to learn from"

SCHEMAS: tuple[Schema, ...] = (
    Schema("mmc4", "MMC4 documents", ("text_list", "image_info"), _refused, refusal=_NO_ANSWERS),
    Schema("obelics", "OBELICS documents", ("images", "texts"), _refused, fits=_is_document, refusal=_NO_ANSWERS),
    Schema("prompt_completion", "TRL prompt and completion", ("prompt", "completion"), prompt_completion),
    Schema("m3it", "M3IT", ("instruction", "outputs"), m3it, fields=("inputs",)),
    Schema("alpaca", "Alpaca with images", ("instruction", "output"), alpaca, fields=("input", "history", "system")),
    Schema("cauldron", "the_cauldron", ("texts",), _chat("texts"), task=_cauldron_source),
    Schema(
        "openai",
        "OpenAI or Anthropic chat parts",
        ("messages",),
        _chat("messages"),
        fits=lambda columns, record: "image_url" in _content_types(record) or _has_source(record),
        fields=("system",),
    ),
    Schema(
        "typed_messages",
        "messages with typed parts",
        ("messages",),
        _chat("messages"),
        fits=lambda columns, record: bool(_content_types(record)),
        fields=("system",),
    ),
    Schema("messages", "messages with string content", ("messages",), _chat("messages"), fields=("system",)),
    Schema(
        "mantis",
        "Mantis-Instruct",
        ("conversation",),
        _chat("conversation"),
        fits=lambda columns, record: _has_role(_first(record.get("conversation"))),
        fields=("system", "source"),
        task=lambda record: record.get("source"),
    ),
    Schema("pair_list", "ShareGPT pair list", ("conversation",), _chat("conversation"), fields=("system",)),
    Schema("vision_flan", "Vision-Flan", ("conversations", "task_name"), _chat("conversations"), fields=("system",)),
    Schema(
        "llava_onevision",
        "LLaVA-OneVision-Data",
        ("conversations", "data_source"),
        _chat("conversations"),
        fields=("system",),
    ),
    Schema(
        "sharegpt",
        "ShareGPT as in LLaMA-Factory",
        ("conversations",),
        _chat("conversations"),
        fits=_has_any("images", "videos", "audios", "system", "tools"),
        fields=("system",),
    ),
    Schema(
        "llava_multi_image",
        "LLaVA with several images or a video",
        ("conversations",),
        _chat("conversations"),
        fits=lambda columns, record: "video" in columns or isinstance(record.get("image"), list),
        fields=("system",),
    ),
    Schema("llava", "LLaVA conversations", ("conversations",), _chat("conversations"), fields=("system",)),
    Schema(
        "llava_pretrain",
        "LLaVA pretraining: the image alone is the question",
        ("conversations",),
        _pretrain,
        fits=lambda columns, record: False,
    ),
    Schema(
        "question_answer",
        "question and answer columns",
        (),
        question_answer,
        fits=lambda columns, record: bool(columns.intersection(QUESTIONS) and columns.intersection(ANSWERS)),
        fields=(*QUESTIONS, *ANSWERS),
    ),
    Schema("data_juicer", "Data-Juicer text", ("text", "images"), data_juicer),
    Schema(
        "images",
        "pictures and a task label; whatever else a row holds is not looked at",
        (),
        _no_turns,
        fits=_only_pictures,
        instructions=False,
    ),
)

BY_NAME = {schema.name: schema for schema in SCHEMAS}

_PICTURE_FIELDS = frozenset((*TASK_COLUMNS, *ID_COLUMNS, *IMAGE_COLUMNS, *OTHER_MEDIA_COLUMNS))

FIELDS = _PICTURE_FIELDS.union(*(schema.needs + schema.fields for schema in SCHEMAS))
"""Every column any schema reads; others are never touched."""


def fields_of(name: str | None) -> frozenset[str]:
    """The columns to read for the schema `name`, None for one still to be found; without instructions no text is."""
    schema = BY_NAME.get(name) if name is not None else None
    return FIELDS if schema is None or schema.instructions else _PICTURE_FIELDS


def find_schema(columns: frozenset[str], record: Record, name: str | None = None) -> Schema:
    """Find the schema of a pool by its columns (and one record where columns don't tell), or take the named one.

    Raises:
        UnknownName: For a name that is no schema.
        UsageError: Nothing fits, the named one lacks columns (pictures alone: any image column), or it can't be used.
    """
    if name is not None and name not in BY_NAME:
        raise UnknownName("schema", name, BY_NAME)
    schema = BY_NAME[name] if name is not None else next((s for s in SCHEMAS if s.matches(columns, record)), None)
    if schema is None:
        raise UsageError(
            f"no public schema fits the columns {sorted(columns)}; known schemas: {', '.join(sorted(BY_NAME))}. "
            "Rename the columns, or name the schema with --schema (schema= in Python)."
        )
    missing = sorted(set(schema.needs) - columns)
    if missing:
        raise UsageError(f"the schema {schema.name} needs the columns {missing}, but the pool has {sorted(columns)}.")
    if not schema.instructions and not columns & {*IMAGE_COLUMNS}:
        raise UsageError(
            f"the schema {schema.name} needs one of the columns {list(IMAGE_COLUMNS)}, but the pool has "
            f"{sorted(columns)}: pictures inside messages can't be read without their texts, put them in a column."
        )
    if schema.refusal is not None:
        raise UsageError(
            f"the pool is in the schema {schema.name} ({schema.title}) and can't be used: {schema.refusal}."
        )
    return schema
