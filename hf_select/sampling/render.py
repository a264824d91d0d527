"""A Selection for people: a text table and an HTML table. Group names are data and may be hostile."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import TYPE_CHECKING

from hf_select.text import plain, table

if TYPE_CHECKING:
    from hf_select.sampling.selection import Selection

_SHOWN = 60
_LONGEST = 192


def summary(selection: Selection) -> str:
    """Plain text: one line of facts, the groups, what could not be chosen, notes."""
    lines = [_facts(selection)]
    if selection.quotas:
        lines += [f"  {line}" for line in table(_head(selection), _rows(selection)).splitlines()]
    lines += _more(selection)
    lines += [f"not chosen: {count} {_short(reason)}" for reason, count in selection.rejected.items()]
    lines += [f"note: {_short(note)}" for note in selection.notes]
    return "\n".join(lines)


def html_table(selection: Selection) -> str:
    """HTML of the same; every text is escaped."""
    head = _row("th", _head(selection))
    body = "".join(_row("td", row) for row in _rows(selection))
    rest = [f"not chosen: {count} {_short(reason)}" for reason, count in selection.rejected.items()]
    rest = [*_more(selection), *rest, *map(_short, selection.notes)]
    items = "".join(f"<li>{html.escape(text)}</li>" for text in rest)
    return (
        f"<div><p>{html.escape(_facts(selection))}</p>"
        f"<table><thead>{head}</thead><tbody>{body}</tbody></table><ul>{items}</ul></div>"
    )


def _facts(selection: Selection) -> str:
    recipe = selection.recipe
    facts = [f"{len(selection)} rows chosen"]
    facts += [f"of {recipe['pool_rows']}"] if "pool_rows" in recipe else []
    facts += [f"by {recipe['sampler']}"] if "sampler" in recipe else []
    facts += [f"{name} {recipe[name]}" for name in ("budget", "seed") if name in recipe]
    if recipe.get("included"):
        facts.append(f"{recipe['included']} of them given as seed rows")
    return _short(", ".join(facts))


def _in_tokens(selection: Selection) -> bool:
    return any(quota.tokens is not None for quota in selection.quotas)


def _head(selection: Selection) -> tuple[str, ...]:
    return ("group", "available", "weight", "quota", "picked", *(["tokens"] if _in_tokens(selection) else []))


def _rows(selection: Selection) -> list[tuple[str | int, ...]]:
    tokens = _in_tokens(selection)
    return [
        (
            _short(q.group),
            q.available,
            f"{q.weight:.4f}",
            q.quota,
            q.picked,
            *([q.tokens or 0] if tokens else []),
        )
        for q in selection.quotas[:_SHOWN]
    ]


def _more(selection: Selection) -> list[str]:
    hidden = len(selection.quotas) - _SHOWN
    return [f"  ... and {hidden} more groups"] if hidden > 0 else []


def _row(tag: str, cells: Iterable[str | int]) -> str:
    texts = (f"{cell:,}" if isinstance(cell, int) else cell for cell in cells)
    return "<tr>" + "".join(f"<{tag}>{html.escape(text)}</{tag}>" for text in texts) + "</tr>"


def _short(text: str) -> str:
    """`text` on one line that no terminal obeys, its end left out where it is very long."""
    shown = plain(text)
    return shown if len(shown) <= _LONGEST else shown[: _LONGEST - 3] + "..."
