"""`hf-select ls`: what this installation offers."""

from __future__ import annotations

from dataclasses import dataclass

from hf_select.cli.catalogue import KINDS, entries
from hf_select.cli.command import Command, option
from hf_select.cli.output import Output


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which kind to list."""

    kind: str | None = option(None, help=f"one of {', '.join(KINDS)}; all by default", positional=True, choices=KINDS)


def run(options: Options, out: Output) -> int:
    """List names with one line each."""
    found = entries(options.kind)
    width = max((len(item.name) for item in found), default=0)
    lines: list[str] = []
    for kind in KINDS:
        items = [item for item in found if item.kind == kind]
        if items:
            lines += [f"{kind}:", *(f"  {item.name:<{width}}  {item.line}" for item in items)]
    out.result(
        human="\n".join(lines),
        data=[{"kind": item.kind, "name": item.name, "about": item.line} for item in found],
        quiet="\n".join(item.name for item in found),
    )
    return 0


COMMAND = Command(
    "ls",
    "List scorers, samplers, recipes and suites.",
    Options,
    run,
    examples=("hf-select ls", "hf-select ls samplers --format quiet"),
)
