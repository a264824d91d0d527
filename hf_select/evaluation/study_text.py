"""RESULTS.md: what a study shows, in tables and in sentences that say no more than the intervals do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from hf_select.hub.render import escape_markdown

Entry = Mapping[str, Any]
"""A row of a study's RESULTS.json."""

_NONE = "–"

_EXPLAINED = """\
Scores are means over tasks, each on a scale of 0 to 100 and counting the same. A difference is a recipe's score minus \
{baseline}'s with the same seeds, pool, budget and model.

* **95 % interval**: percentiles of {resamples:,} resamples that draw seeds (the same for both sides and all tasks) \
and the documents of each task (the same for both sides and all seeds). With one seed only documents are drawn, and \
the interval says nothing about other seeds. Percentiles over a handful of seeds are somewhat too narrow.
* **Over seeds (t)**: a 95 % interval by Student's t over the seeds' differences alone, the documents taken as given; \
it speaks of other seeds on the same documents.
* **All compared**: of many recipes that equal {baseline}, one in forty lies above zero by chance. This interval is at \
the level 1 - 0.05 / n of the n recipes compared on the pool, model and budget (Bonferroni), so that all n together \
hold their true values with 95 %; other pools and budgets are not counted, and with few seeds it is approximate.
* An interval that holds zero doesn't show that a recipe equals {baseline}, only that this study can't tell them apart.
* **Rel.** is relative to all usable rows, by the literature's two definitions: the mean over tasks of score / full \
score, and the mean score / the mean full score; tasks on which the full model has 0 don't enter.
* **Time**: (scoring + selecting + tuning) / tuning on all usable rows, in seconds of the machine of this study; above \
100 % choosing costs more than it saves.
* **To chance**: the share of planted trouble among the picked rows over its share of the pool; 1 is chance."""


def results_markdown(results: Mapping[str, Any], plots: Mapping[str, str] | None = None) -> str:
    """Write a study's report.

    Args:
        results: What `results_json` gives or RESULTS.json holds.
        plots: File name -> caption of the plots beside the report.

    Returns:
        Markdown; names of recipes, tasks, pools, models and settings are escaped.
    """
    about, rows = results["about"], results["rows"]
    baseline = escape_markdown(about["baseline"])
    parts = ["# Results of the study", "## Reading", *_reading(rows, baseline)]
    parts += ["## Settings", _settings(about), "## Ends of the scale", _ends(about["ends"], rows, baseline)]
    parts += ["## How to read the tables", _EXPLAINED.format(baseline=baseline, resamples=about["resamples"])]
    for words, part in _cases(rows):
        parts += [f"## {words}", _table(part, about["baseline"])]
        parts += ["### Difference task by task", _tasks(part, about["baseline"])]
        parts += ["### What was picked", "Share of each task among the picked rows in %.", _picked(part)]
    if plots:
        parts += ["## Plots", *(f"{escape_markdown(text)}\n\n![]({file})" for file, text in plots.items())]
    return "\n\n".join(parts) + "\n"


def _cases(rows: Sequence[Entry]) -> Iterator[tuple[str, list[Entry]]]:
    """The rows of each pool, model and budget, the largest difference first, with words for a heading."""

    def case(row: Entry) -> tuple[str, str, float, str]:
        return row["pool"], row["model"], row["budget"], row["budget_label"]

    order = {key: at for at, key in enumerate(dict.fromkeys((row["pool"], row["model"]) for row in rows))}
    several = len({row["model"] for row in rows}) > 1
    ordered = sorted(
        rows, key=lambda row: (order[row["pool"], row["model"]], case(row)[2:], -row["diff"], row["recipe"])
    )
    for (pool, model, _, budget), part in groupby(ordered, key=case):
        yield escape_markdown(f"{pool}, {budget}" + (f", {model}" if several else "")), list(part)


def _reading(rows: Sequence[Entry], baseline: str) -> Iterator[str]:
    """One paragraph a case: which intervals lie above zero, which below, and nothing else."""
    for words, part in _cases(rows):
        others = [row for row in part if escape_markdown(row["recipe"]) != baseline]
        if not others:
            yield f"**{words}**: no recipe was compared with {baseline}."
            continue
        known = [row for row in others if row["diff_low"] is not None]
        seeds = _range([row["seeds"] for row in others])
        said = [f"**{words}** ({len(others)} {_recipes(len(others))} against {baseline}, {seeds} {_seeds(others)}):"]
        above, below, rest = _sides(known, "diff")
        said.append(f"the 95 % interval of the difference lies above zero for {_names(above)},")
        said.append(f"below zero for {_names(below)}, and holds zero for {_names(rest)}.")
        if len(known) < len(others):
            unknown = [row for row in others if row["diff_low"] is None]
            said.append(f"No interval, since a task's value is no mean over documents: {_names(unknown)}.")
        if len(known) > 1:
            above, below, _ = _sides(known, "adjusted")
            said.append(f"With all {others[0]['compared']} comparisons counted: above zero {_names(above)},")
            said.append(f"below {_names(below)}.")
        if any(row["seeds"] > 1 for row in others):
            above, below, _ = _sides([row for row in others if row["over_seeds_low"] is not None], "over_seeds")
            said.append(f"By Student's t over seeds: above zero {_names(above)}, below {_names(below)}.")
        if any(row["seeds"] == 1 for row in others):
            said.append("With one seed an interval is over documents only.")
        yield " ".join(said)


def _sides(rows: Sequence[Entry], kind: str) -> tuple[list[Entry], list[Entry], list[Entry]]:
    """The rows whose interval lies above zero, below it, and those whose interval holds it."""
    above = [row for row in rows if row[f"{kind}_low"] > 0]
    below = [row for row in rows if row[f"{kind}_high"] < 0]
    return above, below, [row for row in rows if row[f"{kind}_low"] <= 0 <= row[f"{kind}_high"]]


def _names(rows: Sequence[Entry]) -> str:
    return ", ".join(escape_markdown(row["recipe"]) for row in rows) or "none"


def _recipes(n: int) -> str:
    return "recipe" if n == 1 else "recipes"


def _seeds(rows: Sequence[Entry]) -> str:
    return "seed" if all(row["seeds"] == 1 for row in rows) else "seeds"


def _range(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return f"{low}" if low == high else f"{low} to {high}"


def _settings(about: Mapping[str, Any]) -> str:
    own = {"ends", "tasks_left_out", "level", "fits", "fits_left_out"}
    told = list(_flat({name: value for name, value in about.items() if name not in own}))
    lines = _grid(["setting", "value"], [[name, _text(value)] for name, value in told])
    said = (
        f"{about['fits']:,} fits; {about['fits_left_out']:,} are in no difference, since the other side's fit of the "
    )
    said += "same seed is missing."
    for where, tasks in about["tasks_left_out"].items():
        if tasks:
            said += (
                f" On {escape_markdown(where)} not every fit has a result of {', '.join(map(escape_markdown, tasks))}: "
            )
            said += "left out of all numbers."
    return f"{lines}\n\n{said}"


def _flat(told: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in told.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _ends(ends: Sequence[Entry], rows: Sequence[Entry], baseline: str) -> str:
    words = {"start": "before any fit", "full": "tuned on all usable rows"}
    lines = [
        [end["pool"], end["model"], words[end["end"]], f"{end['rows']:,.0f}", f"{end['steps']:,.0f}", f"{end['seeds']}"]
        + [f"{end['score']:.2f}"]
        for end in ends
    ]
    # The baseline's own row, not its scores beside recipes that lack a seed.
    lines += [
        [row["pool"], row["model"], f"{row['recipe']} at {row['budget_label']}", f"{row['rows']:,.0f}"]
        + [f"{row['steps']:,.0f}", f"{row['seeds']}", f"{row['score']:.2f}"]
        for row in rows
        if escape_markdown(row["recipe"]) == baseline
    ]
    return _grid(["pool", "model", "what", "rows", "steps", "seeds", "score"], lines)


def _table(rows: Sequence[Entry], baseline: str) -> str:
    kinds = list(dict.fromkeys(kind for row in rows for kind in row["planted"]))
    gpu = any("gpu_hours" in row["cost"] for row in rows)
    heads = ["recipe", "score", "difference", "95 % interval", "over seeds (t)", "all compared", "seeds won"]
    heads += ["Rel. (mean of ratios)", "Rel. (ratio of means)", "forward passes a row", "scoring s", "selecting s"]
    heads += ["tuning s", *(["GPU-hours"] if gpu else []), "time", *(f"{kind} to chance" for kind in kinds)]
    lines = []
    for row in rows:
        is_baseline = row["recipe"] == baseline
        cost, seconds = row["cost"], row["cost"]["seconds"]
        line = [row["recipe"], f"{row['score']:.2f}"]
        line += [_NONE] * 5 if is_baseline else [f"{row['diff']:+.2f}", *_intervals(row), _won(row)]
        line += [_percent(row["rel_mean_of_ratios"]), _percent(row["rel_ratio_of_means"]), f"{cost['forwards']:g}"]
        line += [_number(seconds.get(stage), 1) for stage in ("score", "select", "fit")]
        line += [_number(cost["gpu_hours"], 3)] if gpu else []
        line += [_NONE if cost["of_full_time"] is None else _percent(100 * cost["of_full_time"])]
        lines.append(line + [_number(row["planted"].get(kind, {}).get("to_chance"), 2) for kind in kinds])
    return _grid(heads, lines)


def _intervals(row: Entry) -> list[str]:
    return [_interval(row[f"{kind}_low"], row[f"{kind}_high"]) for kind in ("diff", "over_seeds", "adjusted")]


def _interval(low: float | None, high: float | None) -> str:
    return _NONE if low is None or high is None else f"{low:+.2f} to {high:+.2f}"


def _won(row: Entry) -> str:
    missing = f" ({row['seeds_left_out']} left out)" if row["seeds_left_out"] else ""
    return f"{row['seeds_won']} of {row['seeds']}{missing}"


def _tasks(rows: Sequence[Entry], baseline: str) -> str:
    tasks = list(rows[0]["tasks"])
    told = (
        "In points; bold where the 95 % interval of that task alone is on one side of zero, which among so many cells "
    )
    told += "happens by chance too. The first line is the score itself."
    own = [row for row in rows if row["recipe"] == baseline]
    lines = [[f"({row['recipe']}: score)", *(f"{row['tasks'][task]['score']:.1f}" for task in tasks)] for row in own]
    body = [
        [escape_markdown(row["recipe"]), *(_cell(row["tasks"][task]) for task in tasks)]
        for row in rows
        if row["recipe"] != baseline
    ]
    heads = ["recipe", *(f"{task} ({rows[0]['tasks'][task]['documents']})" for task in tasks)]
    return "\n".join([f"{told}\n", _grid(heads, lines), *map(_line, body)])


def _cell(task: Entry) -> str:
    text = f"{task['diff']:+.1f}"
    known = task["diff_low"] is not None
    return f"**{text}**" if known and (task["diff_low"] > 0 or task["diff_high"] < 0) else text


def _picked(rows: Sequence[Entry]) -> str:
    tasks = list(rows[0]["picked"])
    kinds = list(rows[0]["planted"])
    pool = [f"{100 * rows[0]['picked'][task]['pool']:.1f}" for task in tasks]
    pool += [f"{100 * rows[0]['planted'][kind]['pool']:.1f}" for kind in kinds]
    lines = [["(pool)", "", *pool]]
    for row in rows:
        shares = [row["picked"][task]["share"] for task in tasks] + [row["planted"][kind]["share"] for kind in kinds]
        cells = [_NONE if share is None else f"{100 * share:.1f}" for share in shares]
        lines.append([row["recipe"], f"{row['rows']:,.0f}", *cells])
    return _grid(["recipe", "rows", *tasks, *(f"planted: {kind}" for kind in kinds)], lines)


def _percent(value: float | None) -> str:
    return _NONE if value is None else f"{value:.1f} %"


def _number(value: float | None, places: int) -> str:
    return _NONE if value is None else f"{value:,.{places}f}"


def _grid(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table of texts that are data."""
    shown = [[escape_markdown(cell) for cell in line] for line in [heads, *lines]]
    return "\n".join([_line(shown[0]), "|---" * len(heads) + "|", *map(_line, shown[1:])])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
