"""`hf-select ls`: what this installation offers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from hf_select.cli.catalogue import KINDS, Entry, entries
from hf_select.cli.command import Command, option
from hf_select.cli.output import Output
from hf_select.recipes.catalogue import measured, recipe_class
from hf_select.recipes.recipe import Cost

NOT_MEASURED = "not measured"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which kind to list."""

    kind: str | None = option(None, help=f"one of {', '.join(KINDS)}; all by default", positional=True, choices=KINDS)


def run(options: Options, out: Output) -> int:
    """List names with one line each; recipes alone with paper, needs, cost and our result."""
    found = entries(options.kind)
    data: list[dict[str, Any]] = [{"kind": item.kind, "name": item.name, "about": item.line} for item in found]
    human, names = _lines(found), [item.name for item in found]
    if options.kind == "recipes":
        data = [entry | facts_of(item) for entry, item in zip(data, found, strict=True)]
        human, names = "\n\n".join(_paragraph(entry) for entry in data), [item.typed for item in found]
    out.result(human=human, data=data, quiet="\n".join(names))
    return 0


def needs(cost: Cost) -> str:
    """What a recipe needs beside the pool's pictures, in words."""
    parts = ["a vision-language model"] if cost.forwards or cost.tuned else []
    words = {"image": "an image encoder", "text": "a text encoder", "dual": "an image-text encoder"}
    parts += [words[encoder] for encoder in cost.encoders]
    parts.append("instructions of every row" if cost.instructions else "no instructions of rows that aren't chosen")
    return ", ".join([*parts, "no target data"])


def facts_of(item: Entry) -> dict[str, Any]:
    """A recipe's paper, needs, cost and measured result, JSON-able."""
    kind = recipe_class(item.typed)
    results = measured().get(item.typed, {})
    return {
        "recipe": item.typed,
        "paper": kind.paper,
        "needs": {
            "forward_passes": kind.cost.forwards,
            "encoders": list(kind.cost.encoders),
            "tuned": kind.cost.tuned,
            "instructions": kind.cost.instructions,
            "target_data": False,
        },
        "needs_text": needs(kind.cost),
        "cost": kind.cost.render(),
        "measured": {pool: asdict(one) for pool, one in results.items()},
        "measured_text": "; ".join(f"{pool} pool: {one.render()}" for pool, one in results.items()) or NOT_MEASURED,
    }


def _paragraph(entry: dict[str, Any]) -> str:
    told = {"paper": "paper", "needs": "needs_text", "costs": "cost", "gains": "measured_text"}
    head = f"{entry['recipe']} ({entry['name']}): {entry['about']}"
    return "\n".join([head, *(f"  {name}  {entry[key]}" for name, key in told.items())])


def _lines(found: list[Entry]) -> str:
    width = max((len(item.name) for item in found), default=0)
    lines: list[str] = []
    for kind in KINDS:
        items = [item for item in found if item.kind == kind]
        if items:
            lines += [f"{kind}:", *(f"  {item.name:<{width}}  {item.line}" for item in items)]
    return "\n".join(lines)


COMMAND = Command(
    "ls",
    "List scorers, samplers, recipes and suites.",
    Options,
    run,
    examples=("hf-select ls", "hf-select ls recipes", "hf-select ls samplers --format quiet"),
)
