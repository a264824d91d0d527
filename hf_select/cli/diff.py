"""`hf-select diff`: what two selections have in common, and why each kept what the other didn't."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_select.cli.command import Command, option
from hf_select.text import table

if TYPE_CHECKING:
    from hf_select.cli.output import Output
    from hf_select.sampling.selection import Selection

SOURCE = "a folder of a selection, a subset or a run, or hf://datasets/me/name[@revision]"
_FACTS = ("facts.parquet", "score.parquet", "scores.parquet")


@dataclass(frozen=True, kw_only=True)
class DiffOptions:
    """Flags of `hf-select diff`."""

    first: str = option(help=SOURCE, positional=True)
    second: str = option(help=SOURCE, positional=True)
    rows: int = option(5, help="how many rows of each side to name")


def run(options: DiffOptions, out: Output) -> int:
    """Compare; return the exit code."""
    from hf_select.hub.load import selection_folder, selection_in
    from hf_select.sampling.difference import difference

    sources = (options.first, options.second)
    folders = [selection_folder(source) for source in sources]
    first, second = (selection_in(folder, source) for folder, source in zip(folders, sources, strict=True))
    told = difference(first, second)
    tasks = _tasks(folders[0]) or _tasks(folders[1])
    by_task = _by_task(tasks, first, second) if tasks else []
    groups = [{"group": group, "first": here, "second": there} for group, (here, there) in told.groups.items()]
    settings = [{"setting": name, "first": a, "second": b} for name, (a, b) in told.settings.items()]
    sides = {
        "only_first": _only(first, second, options.rows, tasks),
        "only_second": _only(second, first, options.rows, tasks),
    }
    counts = {"first": len(first), "second": len(second), "both": told.both, "jaccard": told.jaccard}
    data = counts | {"settings": settings, "groups": groups, "tasks": by_task} | sides
    lines = [
        f"first: {len(first):,} rows, second: {len(second):,} rows, both: {told.both:,} (Jaccard {told.jaccard:.3f})",
        *(
            ["", table(["setting", "first", "second"], [list(entry.values()) for entry in settings])]
            if settings
            else []
        ),
        *["", _changes("group", groups)],
        *(["", _changes("task", by_task)] if by_task else []),
    ]
    if not told.both and len(first) and len(second):
        lines += [
            "",
            "note: no row in common; rows read through different views (images, or all of a row) have other keys",
        ]
    for name, side in sides.items():
        lines += ["", f"{name.replace('_', ' ')}: {side['count']:,} rows, kept as {_told(side['reasons'])}"]
        lines += [table(list(side["rows"][0]), [_cells(row) for row in side["rows"]])] if side["rows"] else []
        lines += [f"the other side could not choose {_told(side['rejected'])}"] if side["rejected"] else []
    out.result(human="\n".join(lines), data=data, quiet=f"{told.jaccard:.6f}")
    return 0


def _tasks(folder: Path) -> dict[str, str]:
    """Address -> task label of every row of the pool, where a table of facts lies with the selection or its run."""
    import pyarrow.parquet as pq

    from hf_select.recipes.tables import NO_TASK
    from hf_select.sampling.keys import unique_keys

    for file in (place / name for place in (folder, folder.parent) for name in _FACTS):
        if file.is_file() and {"row_key", "row_task"} <= set(pq.read_schema(file).names):
            facts = pq.read_table(file, columns=["row_key", "row_task"])
            labels = (NO_TASK if task is None else task for task in facts["row_task"].to_pylist())
            return dict(zip(unique_keys(facts["row_key"].to_pylist()), labels, strict=True))
    return {}


def _by_task(tasks: Mapping[str, str], first: Selection, second: Selection) -> list[dict[str, Any]]:
    """Rows of every task on both sides, and how many of them are the same; rows of another pool are left out."""
    mine, other = ({key for key in one.keys if key in tasks} for one in (first, second))
    counts = [Counter(tasks[key] for key in keys) for keys in (mine, other, mine & other)]
    names = sorted(counts[0].keys() | counts[1].keys())
    return [{"task": n, "first": counts[0][n], "second": counts[1][n], "both": counts[2][n]} for n in names]


def _only(one: Selection, other: Selection, most: int, tasks: Mapping[str, str]) -> dict[str, Any]:
    """What `one` has alone: how many, why it kept them, and the first of them with why the other didn't."""
    from hf_select.sampling.difference import alone

    found = alone(one, other)
    rows = [asdict(row) | ({"task": tasks.get(row.key)} if tasks else {}) for row in found[:most]]
    reasons = dict(sorted(Counter(row.reason for row in found).items()))
    why_not = dict(sorted(Counter(row.why_not for row in found).items()))
    return {
        "count": len(found),
        "reasons": reasons,
        "why_not": why_not,
        "rows": rows,
        "rejected": dict(other.rejected),
    }


def _changes(kind: str, entries: list[dict[str, Any]]) -> str:
    rows = [[*entry.values(), f"{entry['second'] - entry['first']:+d}"] for entry in entries]
    return table([*(list(entries[0]) if entries else [kind, "first", "second"]), "change"], rows)


def _cells(row: dict[str, Any]) -> list[Any]:
    return [f"{value:.4f}" if isinstance(value, float) else value for value in row.values()]


def _told(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} ({count:,})" for name, count in counts.items()) or "nothing"


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
