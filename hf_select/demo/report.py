"""The demo's result as tables and one honest sentence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from statistics import mean, stdev
from typing import Any

from hf_select.demo.measure import macro, suite_metrics
from hf_select.demo.run import CHOSEN, NAMES, PRESEL, RANDOM, START, DemoResult, SeedResult
from hf_select.text import table

_T95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145)
"""Two-sided 95 % points of Student's t for 1 to 14 degrees of freedom."""

METHODS = (CHOSEN, PRESEL)

NOISE = 6.0
"""Points of macro mean below which one seed says nothing: twice the 2.9 by which the difference varies over seeds."""


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and half the width of its 95 % interval by Student's t (infinite for one value)."""
    if len(values) < 2:
        return values[0], math.inf
    freedom = len(values) - 1
    point = _T95[freedom - 1] if freedom <= len(_T95) else 1.96 + 2.5 / freedom
    return mean(values), point * stdev(values) / math.sqrt(len(values))


def verdict(gains: Sequence[float], name: str) -> str:
    """Say who won, from the method `name` minus random in points of the macro mean, one number a seed."""
    gain, half = interval(gains)
    names = (name, "random") if gain > 0 else ("random", name)
    if len(gains) == 1:
        if abs(gain) < NOISE:
            return (
                f"Undecided: {name} minus random is {gain:+.1f} points of macro mean, and a seed alone moves it "
                f"by about {NOISE:.0f}; --seeds 5 gives an interval."
            )
        return (
            f"{names[0]} won against {names[1]} by {abs(gain):.1f} points of macro mean in this one seed; "
            "one seed proves nothing, --seeds 5 gives an interval."
        )
    bounds = f"{gain - half:+.1f} to {gain + half:+.1f}"
    told = f"{gain:+.1f} points of macro mean, 95 % t-interval over {len(gains)} seeds {bounds}"
    if abs(gain) <= half:
        return f"Undecided: {name} minus random is {told}, which contains 0."
    return f"{names[0]} won: {name} minus random is {told}."


def gains(result: DemoResult, method: str) -> list[float]:
    """The method minus random, points of the macro mean, one a seed."""
    return [macro(one.scores[method]) - macro(one.scores[RANDOM]) for one in result.seeds]


def render(result: DemoResult) -> str:
    """Return the demo's result for a reader."""
    seeds, config = result.seeds, result.config
    rows = [_score_row(task, name, result) for task, name in suite_metrics().items()]
    rows.append(_score_row("macro mean", "", result))
    heads = ["held-out task", "metric", "as shipped", *NAMES.values()]
    heads += [f"{NAMES[method]} - random" for method in METHODS]
    count = f"mean of {len(seeds)} seeds, ± half a 95 % t-interval" if len(seeds) > 1 else "seed 0"
    asked = mean(one.instructions for one in seeds)
    tables = {
        f"Held-out scores (0 to 100; {count}), every subset {config.budget} of {config.rows:,} rows": (heads, rows),
        "What the subsets took": (["rows", "in the pool", *NAMES.values()], _taken_rows(result)),
        "Time": (["stage", "seconds"], _time_rows(result)),
    }
    words = [
        *(verdict(gains(result, method), NAMES[method]) for method in METHODS),
        "How to read it: MLLM-Selector here is a reading of arXiv 2503.20502, whose full text was not open to us: a "
        "seed model is tuned on 5 % of the pool, a row's necessity is its answer's loss under it, and rows are drawn "
        "from ten necessity bins, more from the upper ones. A wrong answer can look as necessary as a hard row; the "
        "table of planted rows shows how many were taken.",
        f"PreSel (arXiv 2503.07591) chose from pictures: it saw the instructions of {asked:,.0f} rows, where "
        f"MLLM-Selector read all {config.rows:,}, and shares its budget over tasks by how much questions help there. "
        "Both methods take at most one of the exact copies of a row, random takes rows as they come, so a part of a "
        "difference may be due to that.",
    ]
    shown = [f"{head}\n{table(*body)}" for head, body in tables.items()]
    return "\n\n".join([*shown, *words, *_benchmarks(result)])


def _benchmarks(result: DemoResult) -> list[str]:
    """The same held-out documents and charts as DocVQA and ChartQA, by lmms-eval's own task code."""
    if result.benchmarks is None:
        return ["lmms-eval is not installed, so its DocVQA and ChartQA were not run: see the extra `eval` in README."]
    head = (
        "DocVQA (the held-out forms and receipts) and ChartQA (the charts), asked and scored by lmms-eval's own tasks, "
        "paired document by document"
    )
    return [head, *(f"{NAMES[name]} against random\n{one.render()}" for name, one in result.benchmarks.items())]


def as_dict(result: DemoResult) -> dict[str, Any]:
    """Return the demo's result as plain values."""
    return {
        "config": asdict(result.config),
        "metrics": suite_metrics(),
        "planted": result.planted,
        "benchmarks": {name: one.as_dict() for name, one in (result.benchmarks or {}).items()},
        "seeds": [_seed(one) | {"macro": {k: macro(v) for k, v in one.scores.items()}} for one in result.seeds],
        "gains": {method: _gain(gains(result, method)) for method in METHODS},
        "verdicts": {method: verdict(gains(result, method), NAMES[method]) for method in METHODS},
        "draw_seconds": result.draw_seconds,
        "wall_seconds": result.wall_seconds,
        "cpu_seconds": result.cpu_seconds,
        "reading_of": "arXiv 2503.20502",
    }


def _seed(one: SeedResult) -> dict[str, Any]:
    """A seed's plain values, without the folders of its models."""
    return {name: value for name, value in asdict(one).items() if name != "models"}


def _gain(values: Sequence[float]) -> dict[str, Any]:
    middle, half = interval(values)
    return {"mean": middle, "half_width": half, "interval": "95 % Student t over seeds"}


def _score_row(task: str, metric: str, result: DemoResult) -> list[str]:
    def scores(subset: str) -> list[float]:
        return [macro(one.scores[subset]) if not metric else one.scores[subset][task] for one in result.seeds]

    def difference(method: str) -> str:
        return _shown([a - b for a, b in zip(scores(method), scores(RANDOM), strict=True)], "+")

    shown = [_shown(scores(subset)) for subset in NAMES]
    return [task, metric, f"{scores(START)[0]:.1f}", *shown, *map(difference, METHODS)]


def _shown(values: Sequence[float], sign: str = "") -> str:
    middle, half = interval(values)
    return f"{middle:{sign}.1f}" + ("" if math.isinf(half) else f" ±{half:.1f}")


def _taken_rows(result: DemoResult) -> list[list[str]]:
    def count(subset: str, task: str) -> str:
        return f"{mean(one.picked[subset].tasks[task] for one in result.seeds):.0f}"

    def share(subset: str, kind: str) -> str:
        return f"{mean(asdict(one.picked[subset])[kind] / one.picked[subset].rows for one in result.seeds):.1%}"

    rows = [[task, "", *(count(subset, task) for subset in NAMES)] for task in suite_metrics()]
    rows.append(["all", f"{result.config.rows}", *(f"{_rows(result, subset):.0f}" for subset in NAMES)])
    planted = {"copies": "exact copies", "wrong": "wrong answers"}
    return rows + [
        [name, f"{result.planted[kind]:.1%}", *(share(subset, kind) for subset in NAMES)]
        for kind, name in planted.items()
    ]


def _rows(result: DemoResult, subset: str) -> float:
    return mean(one.picked[subset].rows for one in result.seeds)


def _time_rows(result: DemoResult) -> list[list[str]]:
    stages = list(result.seeds[0].seconds)
    rows = [["draw the pool", f"{result.draw_seconds:.1f}"]]
    rows += [[name, f"{mean(one.seconds[name] for one in result.seeds):.1f}"] for name in stages]
    rows.append(["this call, all seeds", f"{result.wall_seconds:.1f}"])
    rows.append(["processor time of it", f"{result.cpu_seconds:.1f}"])
    return rows
