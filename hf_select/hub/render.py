"""Renders the cards of `hub_cards/`: every value is data, so every value is escaped, and no name may be missing.

A template writes `{{ value }}` and gets text that Markdown shows as it is: no value can open a heading, a table column,
a link, an image, HTML, a formula or a second front matter. Filters give other safe forms: `code` (inline code, also
inside tables), `paper` (with links to arXiv), `yaml` (one value of the front matter) and `front_matter` (the whole
block). Macros and `{% set %}` blocks return plain text and would be escaped a second time; use `{% include %}` for
shared parts.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hf_select.errors import HFSelectError
from hf_select.resources import resource_dir

if TYPE_CHECKING:
    from jinja2 import Environment

_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
_ALWAYS = re.compile(r"([\\`*\[\]|~$])")
_EDGE_UNDERSCORE = re.compile(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_ARXIV = re.compile(r"\barXiv (\d{4}\.\d{4,5})\b", re.ASCII)
_LINE_START = re.compile(r"^(?:[#+=-](?=[\s#=-]|$)|\d+[.)](?=\s|$))")


class Safe(str):
    """Text that is Markdown or YAML already; only filters of this file make it."""

    __slots__ = ()


def render_card(name: str, **values: Any) -> str:
    """Render the template `name` of `hub_cards/`.

    Args:
        name: File name, such as "model.md.jinja".
        **values: The template's values; strings are escaped, numbers are written as they are.

    Returns:
        Markdown with YAML front matter, ending in one newline.

    Raises:
        HFSelectError: There is no such template, or a value that it uses is missing or None.
    """
    from jinja2 import TemplateNotFound, UndefinedError

    try:
        text = _environment().get_template(name).render(values)
    except TemplateNotFound as error:
        raise HFSelectError(f"there is no card template {error.name!r} in hub_cards: reinstall hf_select.") from error
    except UndefinedError as error:
        raise HFSelectError(f"the card {name!r} needs a value that was not given: {error.message}.") from error
    return text.rstrip("\n") + "\n"


def escape_markdown(text: str) -> str:
    """Return `text` as one line that Markdown (CommonMark with tables and formulas) shows literally."""
    line = " ".join(_visible(text).split())
    line = _ALWAYS.sub(r"\\\1", line)
    line = _EDGE_UNDERSCORE.sub(r"\\_", line)
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _LINE_START.sub(lambda found: f"{found[0][:-1]}&#{ord(found[0][-1])};", line)


def inline_code(value: Any) -> Safe:
    """Return `value` as inline code; backticks, pipes and backslashes in it stay what they are, also inside a table."""
    line = " ".join(_visible(str(value)).split()) or " "
    if re.search(r"[`|\\]", line) is None:
        return Safe(f"`{line}`")
    entities = re.sub(r"[^\w\s./:,-]", lambda found: f"&#{ord(found[0])};", line)
    return Safe(f"<code>{entities.replace('_', '&#95;')}</code>")


def linked_paper(value: Any) -> Safe:
    """Return the name of a paper with its arXiv number as a link."""
    return Safe(_ARXIV.sub(r"[\g<0>](https://arxiv.org/abs/\1)", escape_markdown(str(value))))


def yaml_value(value: Any) -> Safe:
    """Return `value` (text, number, bool, None, list or mapping) on one line that YAML reads back as itself."""
    import yaml

    text = yaml.safe_dump(_one_line(value), default_flow_style=True, allow_unicode=True, width=1_000_000)
    return Safe(text.rstrip("\n").removesuffix("\n..."))


def front_matter(data: Mapping[str, Any]) -> Safe:
    """Return the card's front matter for `data`, delimiters included; keys in the given order, None left out."""
    import yaml

    kept = {key: _one_line(value) for key, value in data.items() if value is not None}
    body = yaml.safe_dump(kept, sort_keys=False, allow_unicode=True, width=1_000_000)
    return Safe(f"---\n{body}---")


def _visible(text: str) -> str:
    return _UNSEEN.sub(" ", text)


def _one_line(value: Any) -> Any:
    if isinstance(value, str):
        return " ".join(_visible(value).split())
    if isinstance(value, Mapping):
        return {str(key): _one_line(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_one_line(item) for item in value]
    return value


def _finalize(value: Any) -> str:
    """What Jinja calls on the result of every `{{ }}`, before it is written."""
    from jinja2 import Undefined

    if isinstance(value, Undefined):
        return str(value)
    if value is None:
        raise HFSelectError("a card would say None: give the value or leave its line out in the template.")
    return value if isinstance(value, Safe) else escape_markdown(str(value))


@functools.cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(resource_dir("hub_cards")),
        undefined=StrictUndefined,
        finalize=_finalize,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "code": inline_code,
        "paper": linked_paper,
        "yaml": yaml_value,
        "front_matter": front_matter,
    }
    return environment
