"""Task weights from the Instruction Relevance Scores of a reference set (PreSel, arXiv 2503.07591)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hf_select.errors import UsageError


@dataclass(frozen=True)
class TaskWeights:
    """Every task's share of the budget and where it comes from.

    Attributes:
        weights: Task -> w, summing to 1.
        means: Task -> mean score of its reference rows, NaN rows left out.
        counts: Task -> reference rows with a score.
        temperature: tau.
        notes: Sentences about rows without a score and tasks that got the mean of the others.
    """

    weights: dict[str, float]
    means: dict[str, float]
    counts: dict[str, int]
    temperature: float
    notes: tuple[str, ...] = ()


def task_weights(scores: Mapping[str, float | Sequence[float]], *, temperature: float | None = None) -> TaskWeights:
    """Compute w_i = exp(-s_i / tau) / sum over k of exp(-s_k / tau), s_i the mean score of task i.

    A low score means that the question tells the model much about the answer, and gets a larger share. Rows without a
    score are left out of their task's mean; a task none of whose reference rows has one gets the mean of the other
    tasks (in the published code a single such row turns every weight into NaN).

    Args:
        scores: Task -> its reference rows' scores, NaN for none; or Task -> its mean.
        temperature: tau; None for 1 / sqrt(number of tasks).

    Raises:
        UsageError: No task, a task without a reference row, no score at all, or a temperature that isn't above 0.
    """
    rows = {task: np.atleast_1d(np.asarray(values, dtype=np.float64)) for task, values in sorted(scores.items())}
    if not rows:
        raise UsageError("there is no task to weigh: give the scores of at least one")
    empty = [task for task, values in rows.items() if values.size == 0]
    if empty:
        some = ", ".join(map(repr, empty[:5])) + (", ..." if len(empty) > 5 else "")
        raise UsageError(
            f"{len(empty)} of {len(rows)} tasks have no reference row ({some}): raise the reference fraction, or merge "
            "small tasks"
        )
    tau = 1 / math.sqrt(len(rows)) if temperature is None else temperature
    if not (math.isfinite(tau) and tau > 0):
        raise UsageError(f"temperature is {temperature}; it must be a number above 0")
    known = {task: values[np.isfinite(values)] for task, values in rows.items()}
    if not any(values.size for values in known.values()):
        raise UsageError("no reference row has a score: see their statuses for the reasons")
    means = {task: float(values.mean()) for task, values in known.items() if values.size}
    notes = []
    lost = sum(len(rows[task]) - len(values) for task, values in known.items())
    if lost:
        notes.append(f"{lost} reference rows have no score and count in no mean")
    for task in rows.keys() - means.keys():
        means[task] = float(np.mean([float(values.mean()) for values in known.values() if values.size]))
        notes.append(f"no reference row of {task!r} has a score: it is weighed like the mean of the other tasks")
    means = {task: means[task] for task in rows}
    powers = -np.array(list(means.values())) / tau
    parts = np.exp(powers - powers.max())
    weights = dict(zip(means, (parts / parts.sum()).tolist(), strict=True))
    return TaskWeights(weights, means, {task: len(values) for task, values in known.items()}, tau, tuple(sorted(notes)))
