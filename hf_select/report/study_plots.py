"""Plots of a study's results: scores and differences to the baseline, and what was picked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_select.report.plots import MOST_TASKS, differences, label, new_figure, png

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Entry = Mapping[str, Any]
"""A row of a study's RESULTS.json."""

_GREY, _BLUE = "#8a94a3", "#2563eb"
_COLOURS = ("#c2410c", "#2563eb", "#15803d", "#7e22ce", "#a16207", "#0e7490")
_MARKS = "osD^vP"
_PANELS_ACROSS = 4
_SMALL = 7


@dataclass(frozen=True)
class Plot:
    """A plot of a study.

    Attributes:
        file: Its file's name.
        caption: What it shows, a few words.
        png: The image.
    """

    file: str
    caption: str
    png: bytes


def study_plots(results: Mapping[str, Any]) -> list[Plot]:
    """Draw all plots of a study.

    Args:
        results: What RESULTS.json holds: `rows` and `about`.

    Raises:
        MissingExtra: matplotlib isn't installed.
    """
    rows, baseline = results["rows"], results["about"]["baseline"]
    several = len({row["model"] for row in rows}) > 1
    plots: list[Plot] = []

    def add(kind: str, words: Sequence[str], caption: str, image: bytes) -> None:
        stem = "-".join([kind, *(re.sub(r"[^A-Za-z0-9.]+", "-", word.replace("%", "")).strip("-.") for word in words)])
        taken = {plot.file for plot in plots}
        names = (f"{stem}.png" if n == 1 else f"{stem}-{n}.png" for n in range(1, len(plots) + 2))
        plots.append(Plot(next(name for name in names if name not in taken), f"{', '.join(words)}: {caption}", image))

    for (pool, model), part in _split(rows, "pool", "model"):
        ends = [end for end in results["about"]["ends"] if (end["pool"], end["model"]) == (pool, model)]
        words = [pool, model] if several else [pool]
        drawn = png(score_against_budget(part, ends, baseline))
        add(
            "budgets", words, f"score against budget; bars are the 95 % interval of the difference to {baseline}", drawn
        )
    for (pool, model, budget), part in _split(rows, "pool", "model", "budget_label"):
        words = [pool, budget, model] if several else [pool, budget]
        others = _others(part, baseline)
        if not others:
            continue
        known = {"task": "recipe", "difference": "diff", "low": "diff_low", "high": "diff_high"}
        forest = [{name: row[key] for name, key in known.items()} for row in others]
        add("differences", words, f"difference to {baseline}, 95 % intervals", differences(forest, "recipe", baseline))
        caption = f"difference to {baseline} task by task; framed where the 95 % interval is on one side of zero"
        add("tasks", words, caption, png(task_map(others)))
        caption = "share of each task among the picked rows in %; coloured by its ratio to the pool's share"
        ordered = [*(row for row in part if row["recipe"] == baseline), *others]
        add("picked", words, caption, png(picked_map(ordered)))
        if any(row["planted"] for row in part):
            caption = "planted trouble among the picked rows, relative to its share of the pool"
            add("planted", words, caption, png(planted_to_chance(ordered)))
    return plots


def score_against_budget(rows: Sequence[Entry], ends: Sequence[Entry], baseline: str) -> Figure:
    """A panel for each recipe: its score and the baseline's at every budget, and the ends of the scale.

    Args:
        rows: Rows of one pool and model.
        ends: The ends of that pool and model.
        baseline: The recipe that is compared with.
    """
    recipes = list(dict.fromkeys(row["recipe"] for row in _others(rows, baseline)))
    across = min(_PANELS_ACROSS, len(recipes)) or 1
    down = -(-len(recipes) // across) or 1
    figure = new_figure(1.0 + 2.3 * across, 0.9 + 1.7 * down)
    panels = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False).ravel()
    labels = {row["budget"]: label(row["budget_label"]) for row in rows}
    budgets = sorted(labels)
    for panel, recipe in zip(panels, recipes, strict=False):
        mine = sorted((row for row in rows if row["recipe"] == recipe), key=lambda row: row["budget"])
        at = [budgets.index(row["budget"]) for row in mine]
        below, above = _bars(mine)
        for end in ends:
            panel.axhline(end["score"], color=_GREY, lw=0.8, ls="--" if end["end"] == "full" else ":", label=end["end"])
        panel.plot(at, [row["baseline"] for row in mine], "s-", color=_GREY, ms=3, lw=1, label=label(baseline))
        middle = [row["score"] for row in mine]
        panel.errorbar(at, middle, yerr=[below, above], fmt="o-", color=_BLUE, ms=3, lw=1, capsize=2, label="recipe")
        panel.set_title(label(recipe), fontsize=_SMALL + 1)
        panel.set_xticks(range(len(budgets)), [labels[budget] for budget in budgets], fontsize=_SMALL)
        panel.tick_params(axis="y", labelsize=_SMALL)
        panel.margins(x=0.15)
    for panel in panels[len(recipes) :]:
        panel.set_axis_off()
    if recipes:
        handles, names = panels[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper center", ncols=len(names), fontsize=_SMALL, frameon=False)
    figure.supxlabel("budget", fontsize=_SMALL + 1)
    figure.supylabel("score, mean of tasks, 0 to 100", fontsize=_SMALL + 1)
    return figure


def task_map(rows: Sequence[Entry]) -> Figure:
    """Recipes by tasks: the difference to the baseline in points, the mean of tasks in the first column.

    Args:
        rows: Rows of one pool, model and budget without the baseline, each with the same tasks; of more than 40 tasks
            those with the largest difference are drawn.
    """
    largest = {task: max(abs(row["tasks"][task]["diff"]) for row in rows) for task in rows[0]["tasks"]}
    tasks = _first(largest, rows[0]["tasks"])
    cells = [[row, *(row["tasks"][task] for task in tasks)] for row in rows]
    values = np.array([[cell["diff"] for cell in line] for line in cells])
    top = max(float(np.abs(values).max()), 1e-9)
    texts = [[f"{value:+.1f}" for value in line] for line in values]
    figure = _map(values / top, texts, [row["recipe"] for row in rows], ["mean of tasks", *tasks], "RdBu")
    from matplotlib.patches import Rectangle

    for y, line in enumerate(cells):
        for x, cell in enumerate(line):
            if cell["diff_low"] is not None and (cell["diff_low"] > 0 or cell["diff_high"] < 0):
                figure.axes[0].add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, fill=False, ec="black", lw=1.1))
    return figure


def picked_map(rows: Sequence[Entry]) -> Figure:
    """Recipes by tasks: a task's share of what was picked in percent, the pool's shares in the first line.

    Args:
        rows: Rows of one pool, model and budget; of more than 40 tasks the largest are drawn.
    """
    pool = {task: cell["pool"] for task, cell in rows[0]["picked"].items()}
    tasks = _first(pool, pool)
    shares = [[pool[task] for task in tasks], *([row["picked"][task]["share"] for task in tasks] for row in rows)]
    values = np.array(shares, dtype=float)
    ratio = np.divide(values, values[0], out=np.full_like(values, np.nan), where=values[0] > 0)
    # Four times as many as chance, or a quarter, is the end of the colours.
    colours = np.log2(np.clip(ratio, 0.25, 4)) / 2
    texts = [["-" if np.isnan(value) else f"{100 * value:.1f}" for value in line] for line in values]
    return _map(colours, texts, ["(pool)", *(row["recipe"] for row in rows)], tasks, "PuOr_r")


def planted_to_chance(rows: Sequence[Entry]) -> Figure:
    """Each recipe's share of planted rows relative to the pool's; 1 is chance, 0 is none picked.

    Args:
        rows: Rows of one pool, model and budget.
    """
    figure = new_figure(6.4, 1.4 + 0.3 * len(rows))
    axes = figure.subplots()
    axes.axvline(1, color=_GREY, lw=1)
    kinds = list(rows[0]["planted"])
    for at, kind in enumerate(kinds):
        ratios = [row["planted"][kind]["to_chance"] for row in rows]
        places = np.arange(len(rows)) + (at - (len(kinds) - 1) / 2) * 0.18
        style = {"color": _COLOURS[at % len(_COLOURS)], "marker": _MARKS[at % len(_MARKS)]}
        drawn = np.array([np.nan if ratio is None else ratio for ratio in ratios])
        axes.plot(drawn, places, ls="", ms=5, label=label(kind.replace("_", " ")), **style)
    axes.set_yticks(np.arange(len(rows)), [label(row["recipe"]) for row in rows], fontsize=_SMALL + 1)
    axes.invert_yaxis()
    axes.set_xlim(left=-0.05)
    axes.grid(axis="y", lw=0.3)
    axes.set_xlabel("share of the picked rows / share of the pool (1 = chance)")
    figure.legend(loc="outside upper center", ncols=min(len(kinds), 4), fontsize=_SMALL + 1, frameon=False)
    return figure


def _map(
    colours: np.ndarray, texts: list[list[str]], lines: Sequence[str], columns: Sequence[str], name: str
) -> Figure:
    """A heat map of values from -1 to 1 with a text in each cell."""
    figure = new_figure(2.2 + 0.48 * len(columns), 1.6 + 0.24 * len(lines))
    axes = figure.subplots()
    axes.imshow(colours, cmap=name, vmin=-1.2, vmax=1.2, aspect="auto")
    for y, line in enumerate(texts):
        for x, text in enumerate(line):
            dark = abs(colours[y, x]) > 0.75
            cell = axes.text(x, y, text, ha="center", va="center", fontsize=_SMALL - 1)
            cell.set_color("white" if dark else "black")
            # Hundreds of texts that lie inside the axes would each be measured, several times over.
            cell.set_in_layout(False)
    axes.set_xticks(range(len(columns)), [label(c) for c in columns], rotation=40, ha="right", fontsize=_SMALL)
    axes.set_yticks(range(len(lines)), [label(line) for line in lines], fontsize=_SMALL)
    return figure


def _split(rows: Sequence[Entry], *names: str) -> Iterator[tuple[tuple[str, ...], list[Entry]]]:
    parts: dict[tuple[str, ...], list[Entry]] = {}
    for row in rows:
        parts.setdefault(tuple(row[name] for name in names), []).append(row)
    yield from parts.items()


def _others(rows: Sequence[Entry], baseline: str) -> list[Entry]:
    """Rows of the recipes that are compared, the largest difference first."""
    return sorted((row for row in rows if row["recipe"] != baseline), key=lambda row: (-row["diff"], row["recipe"]))


def _first(order: Mapping[str, float], names: Sequence[str] | Mapping[str, Any]) -> list[str]:
    """The 40 names with the largest values, in the order of `names`."""
    kept = set(sorted(order, key=lambda name: -order[name])[:MOST_TASKS])
    return [name for name in names if name in kept]


def _bars(rows: Sequence[Entry]) -> tuple[list[float], list[float]]:
    """How far the interval of the difference reaches below and above it; 0 where there is none."""
    known = [row["diff_low"] is not None for row in rows]
    below = [max(row["diff"] - row["diff_low"], 0) if ok else 0.0 for row, ok in zip(rows, known, strict=True)]
    above = [max(row["diff_high"] - row["diff"], 0) if ok else 0.0 for row, ok in zip(rows, known, strict=True)]
    return below, above
