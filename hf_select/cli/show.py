"""`hf-select show`: one scorer, sampler, recipe or suite explained."""

from __future__ import annotations

from dataclasses import dataclass

from hf_select.cli.catalogue import entry
from hf_select.cli.command import Command, option
from hf_select.cli.output import Output


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to explain."""

    name: str = option(help="a name that `hf-select ls` lists", positional=True)


def run(options: Options, out: Output) -> int:
    """Print what it is, its settings, and how Python gets it."""
    item = entry(options.name)
    lines = [f"{item.name} ({item.kind})", "", item.text]
    if item.settings:
        lines += ["", "settings:", *(f"  {setting}" for setting in item.settings)]
    if item.module:
        lines += ["", f"from {item.module} import {item.name}"]
    data = {"kind": item.kind, "name": item.name, "module": item.module or None, "text": item.text}
    out.result(human="\n".join(lines), data=data | {"settings": item.settings}, quiet=item.text)
    return 0


COMMAND = Command(
    "show",
    "Explain one scorer, sampler, recipe or suite.",
    Options,
    run,
    examples=("hf-select show AnswerLoss", "hf-select show GroupedSampler --format json"),
)
