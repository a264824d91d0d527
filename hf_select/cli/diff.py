"""`hf-select diff`: what two selections have in common, and why each kept what the other didn't."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hf_select.cli.command import Command, option
from hf_select.text import table

if TYPE_CHECKING:
    from hf_select.cli.output import Output
    from hf_select.sampling.selection import Selection

SOURCE = "a folder of a selection, a subset or a run, or hf://datasets/me/name[@revision]"


@dataclass(frozen=True, kw_only=True)
class DiffOptions:
    """Flags of `hf-select diff`."""

    first: str = option(help=SOURCE, positional=True)
    second: str = option(help=SOURCE, positional=True)
    rows: int = option(5, help="how many rows of each side to name")


def run(options: DiffOptions, out: Output) -> int:
    """Compare; return the exit code."""
    from hf_select.hub.load import load_any_selection

    first, second = load_any_selection(options.first), load_any_selection(options.second)
    mine, other = set(first.keys), set(second.keys)
    both = len(mine & other)
    groups = _groups(first, second)
    sides = {"only_first": _only(first, second, options.rows), "only_second": _only(second, first, options.rows)}
    data = {"first": len(first), "second": len(second), "both": both, "groups": groups, **sides}
    data["jaccard"] = both / len(mine | other) if mine | other else 1.0
    changed = [[g["group"], g["first"], g["second"], f"{g['second'] - g['first']:+d}"] for g in groups]
    lines = [
        f"first: {len(first):,} rows, second: {len(second):,} rows, both: {both:,} (Jaccard {data['jaccard']:.3f})",
        "",
        table(["group", "first", "second", "change"], changed),
    ]
    if not both and mine and other:
        lines += [
            "",
            "note: no row in common; rows read through different views (images, or all of a row) have other keys",
        ]
    for name, side in sides.items():
        rows = [[e["key"], e["group"], e["reason"], e["rank"], _score(e["score"])] for e in side["rows"]]
        lines += ["", f"{name.replace('_', ' ')}: {side['count']:,} rows, kept as {_told(side['reasons'])}"]
        lines += [table(["key", "group", "reason", "rank", "score"], rows)] if rows else []
        lines += [f"the other side could not choose {_told(side['rejected'])}"] if side["rejected"] else []
    out.result(human="\n".join(lines), data=data, quiet=f"{data['jaccard']:.6f}")
    return 0


def _groups(first: Selection, second: Selection) -> list[dict[str, Any]]:
    counts = [Counter(one.table["group"].to_pylist()) for one in (first, second)]
    names = sorted(counts[0].keys() | counts[1].keys())
    return [{"group": name, "first": counts[0][name], "second": counts[1][name]} for name in names]


def _only(one: Selection, other: Selection, most: int) -> dict[str, Any]:
    """What `one` has alone: how many, why it kept them, and the first of them."""
    there = set(other.keys)
    rows = [row for row in one.table.to_pylist() if row["key"] not in there]
    reasons = dict(sorted(Counter(row["reason"] for row in rows).items()))
    return {"count": len(rows), "reasons": reasons, "rows": rows[:most], "rejected": dict(other.rejected)}


def _told(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} ({count:,})" for name, count in counts.items()) or "nothing"


def _score(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


COMMAND = Command(
    "diff",
    "Compare two selections: what both have, what changed by group, and why.",
    DiffOptions,
    run,
    examples=(
        "hf-select diff runs/a runs/b",
        "hf-select diff hf://datasets/me/vit-15 runs/a/select --format json",
    ),
)
