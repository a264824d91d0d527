"""A Selection for people: a text table and an HTML table. Group names are data and may be hostile."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hf_select.sampling.selection import Selection

_SHOWN = 60
_WIDEST = 48


def summary(selection: Selection) -> str:
    """Plain text: one line of facts, the groups, what could not be chosen, notes."""
    rows = [_head(selection), *_rows(selection)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [_facts(selection)]
    for row in rows if selection.quotas else []:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        lines.append("  " + "  ".join(cells).rstrip())
    lines += _more(selection)
    lines += [f"not chosen: {count} {_visible(reason)}" for reason, count in selection.rejected.items()]
    lines += [f"note: {_visible(note)}" for note in selection.notes]
    return "\n".join(lines)


def html_table(selection: Selection) -> str:
    """HTML of the same; every text is escaped."""
    head = _row("th", _head(selection))
    body = "".join(_row("td", row) for row in _rows(selection))
    rest = [f"not chosen: {count} {_visible(reason)}" for reason, count in selection.rejected.items()]
    rest = [*_more(selection), *rest, *map(_visible, selection.notes)]
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
    return _visible(", ".join(facts))


def _in_tokens(selection: Selection) -> bool:
    return any(quota.tokens is not None for quota in selection.quotas)


def _head(selection: Selection) -> tuple[str, ...]:
    return ("group", "available", "weight", "quota", "picked", *(["tokens"] if _in_tokens(selection) else []))


def _rows(selection: Selection) -> list[tuple[str, ...]]:
    tokens = _in_tokens(selection)
    return [
        (
            _visible(q.group),
            f"{q.available:,}",
            f"{q.weight:.4f}",
            f"{q.quota:,}",
            f"{q.picked:,}",
            *([f"{q.tokens or 0:,}"] if tokens else []),
        )
        for q in selection.quotas[:_SHOWN]
    ]


def _more(selection: Selection) -> list[str]:
    hidden = len(selection.quotas) - _SHOWN
    return [f"  ... and {hidden} more groups"] if hidden > 0 else []


def _row(tag: str, cells: Iterable[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"


def _visible(text: str) -> str:
    """`text` on one line: control and other unprintable characters as escapes, so that no terminal obeys them."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))
    return shown if len(shown) <= 4 * _WIDEST else shown[: 4 * _WIDEST - 3] + "..."
