"""Which prompt a task gets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from hf_select.annotate.parse import FORMAT
from hf_select.errors import UnknownName, UsageError

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_ENDING = re.compile(r"(?<=..)(s?v?qa|(?<!s)s)\Z")
_SHIPPED = Path(__file__).resolve().parent / "prompts.yaml"


@dataclass(frozen=True)
class Prompts:
    """The prompts by kind of task: captioning, vqa, counting, document, chart, reasoning, conversation, and one's own.

    Attributes:
        texts: Kind -> what the annotator is asked to write, beside the shipped kinds or in their place.
        tasks: Task -> its kind, where the task's name doesn't tell.
    """

    texts: Mapping[str, str] = field(default_factory=dict)
    tasks: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for kind in self.tasks.values():
            if kind not in {*self.texts, *_shipped()["kinds"]}:
                raise UnknownName("kind of prompt", kind, {*self.texts, *_shipped()["kinds"]})

    @classmethod
    def load(cls, file: str | Path) -> Prompts:
        """Read a YAML file with `kinds: {name: text}` and `tasks: {task: kind}`, each optional.

        Raises:
            UsageError: A file that isn't there or holds something else.
        """
        import yaml

        try:
            data = yaml.safe_load(Path(file).read_text("utf-8"))
        except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
            raise UsageError(f"{file} can't be read as YAML prompts: {error}") from error
        parts = {name: (data or {}).get(name) or {} for name in ("kinds", "tasks")} if _is_table(data or {}) else {}
        strange = {} if parts == {} else {*(data or {})} - {"kinds", "tasks"}
        if not parts or strange or not all(_is_table(part, of=str) for part in parts.values()):
            raise UsageError(f"{file}: prompts are kinds (name: text) and tasks (task: kind), and nothing else.")
        return cls(parts["kinds"], parts["tasks"])

    def kind(self, task: str | None) -> str:
        """The kind of a task: as given, else by the whole words in its name, else the default.

        "ChartQA", "chart_open_qa" and "charts-2" have the word "chart"; "country" does not have the word "count".
        """
        if task is not None and task in self.tasks:
            return self.tasks[task]
        name = _words(task or "")
        known = {kind: entry["words"] for kind, entry in _shipped()["kinds"].items()}
        found = (kind for kind, words in known.items() if any(_words(word) in name for word in words))
        return next(found, _shipped()["default"])

    def of(self, task: str | None) -> str:
        """The whole prompt of a task, the form of the reply included. The task's name itself never enters it."""
        kind = self.kind(task)
        text = self.texts[kind] if kind in self.texts else _shipped()["kinds"][kind]["text"]
        return f"{' '.join(text.split())}\n{FORMAT}"


def _words(name: str) -> str:
    """The words of a name in small letters without a plural's s or a final "vqa" or "qa", each between two blanks."""
    words = [_ENDING.sub("", word) or word for word in map(str.lower, _WORD.findall(name))]
    return " ".join(["", *words, ""])


@cache
def _shipped() -> dict[str, Any]:
    import yaml

    return yaml.safe_load(_SHIPPED.read_text("utf-8"))


def _is_table(value: Any, of: type = object) -> bool:
    return isinstance(value, dict) and all(isinstance(k, str) and isinstance(v, of) for k, v in value.items())
