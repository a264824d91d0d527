"""Plots of a selection as PNG files, the same bytes for the same numbers."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_select.errors import require
from hf_select.text import plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BINS = 40
MOST_TASKS = 40
_ALL, _PICKED = "#b8c0cc", "#2563eb"


def score_histogram(scores: np.ndarray, picked: np.ndarray, name: str) -> bytes:
    """Draw the histogram of a score over the pool with the picked part in front; PNG.

    Args:
        scores: float64 of shape (rows,), NaN where a row has none.
        picked: bool of shape (rows,).
        name: The score's name, for the axis.

    Raises:
        MissingExtra: matplotlib isn't installed.
    """
    figure, axes = _axes(6.4, 3.2)
    known = np.isfinite(scores)
    # The longest tail would squeeze everything else into one bar.
    low, high = np.quantile(scores[known], [0.0, 0.995]) if known.any() else (0.0, 1.0)
    edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
    axes.hist(np.clip(scores[known], edges[0], edges[-1]), edges, color=_ALL, label="pool")
    axes.hist(np.clip(scores[known & picked], edges[0], edges[-1]), edges, color=_PICKED, label="picked")
    axes.set_xlabel(plain(name))
    axes.set_ylabel("rows")
    axes.legend()
    return png(figure)


def task_shares(tasks: Sequence[Mapping[str, Any]]) -> bytes:
    """Draw each task's share of the pool beside its share of the subset; PNG.

    Args:
        tasks: Entries with `task`, `rows` and `picked`, as in the per-task table of a run; the 40 largest are drawn.
    """
    shown = list(tasks)[:MOST_TASKS]
    figure, axes = _axes(6.4, 1.2 + 0.32 * len(shown))
    at = np.arange(len(shown))
    rows, picked = (np.array([entry[what] for entry in shown], dtype=float) for what in ("rows", "picked"))
    whole = [sum(entry[what] for entry in tasks) or 1 for what in ("rows", "picked")]
    axes.barh(at - 0.2, 100 * rows / whole[0], 0.4, color=_ALL, label="pool")
    axes.barh(at + 0.2, 100 * picked / whole[1], 0.4, color=_PICKED, label="subset")
    axes.set_yticks(at, [label(entry["task"]) for entry in shown])
    axes.invert_yaxis()
    axes.set_xlabel("share in %")
    axes.legend()
    return png(figure)


def differences(tasks: Sequence[Mapping[str, Any]], model: str, baseline: str) -> bytes:
    """Draw each task's difference of two models with its interval; PNG.

    Args:
        tasks: Entries with `task`, `difference`, `low` and `high` (None where there is no interval).
        model: Whose values are the larger where a difference is positive.
        baseline: The other's.
    """
    figure, axes = _axes(6.4, 1.2 + 0.32 * len(tasks))
    at = np.arange(len(tasks))
    middle = np.array([entry["difference"] for entry in tasks], dtype=float)
    ends = [[entry["difference"] if entry[end] is None else entry[end] for entry in tasks] for end in ("low", "high")]
    axes.axvline(0, color=_ALL)
    axes.errorbar(middle, at, xerr=[middle - ends[0], ends[1] - middle], fmt="o", color=_PICKED, capsize=3)
    axes.set_yticks(at, [label(entry["task"]) for entry in tasks])
    axes.invert_yaxis()
    axes.set_xlabel(f"{label(model)} minus {label(baseline)}, points of 0 to 100")
    return png(figure)


def label(task: str) -> str:
    """A name as a plot shows it: one line of at most 40 characters, never read as a formula."""
    name = plain(task)
    # A pair of dollars would be typeset as a formula.
    return (name if len(name) <= 40 else name[:39] + "…").replace("$", r"\$")


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of this size in inches, with no window.

    Raises:
        MissingExtra: matplotlib isn't installed.
    """
    require("matplotlib", "report")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure((width, height), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def png(figure: Figure) -> bytes:
    """The figure as a PNG file, the same bytes each time."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _axes(width: float, height: float) -> tuple[Figure, Any]:
    figure = new_figure(width, height)
    return figure, figure.subplots()
