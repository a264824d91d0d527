"""Two models on the same documents: paired differences with bootstrap intervals, wins and losses, and Rel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hf_select.errors import UsageError
from hf_select.evaluation.report import EvalReport, TaskResult
from hf_select.text import table

RESAMPLES = 2000
LEVEL = 0.95


@dataclass(frozen=True)
class Difference:
    """One task: model minus baseline in points of 0 to 100.

    Attributes:
        task: The task, or "mean of tasks".
        model: The model's value, mean over its runs.
        baseline: The baseline's.
        difference: model - baseline.
        low: Lower end of the paired 95 % interval; None where single documents have no score.
        high: Its upper end.
        wins: Documents on which the model's mean score is above the baseline's.
        losses: Documents on which it is below.
        n: Documents both were asked.
    """

    task: str
    model: float
    baseline: float
    difference: float
    low: float | None
    high: float | None
    wins: int
    losses: int
    n: int


@dataclass(frozen=True)
class Rel:
    """A model relative to one tuned on all data, in percent, by both definitions of the literature.

    Attributes:
        mean_of_ratios: Unweighted mean over tasks of score / full score (PreSel, VisNec, COINCIDE).
        ratio_of_means: Mean score / mean full score, each task on a scale of 0 to 100 (DICS).
        tasks: The tasks that entered; those on which the full model has 0 can't.
    """

    mean_of_ratios: float
    ratio_of_means: float
    tasks: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """A model against a baseline.

    Attributes:
        model: The model's name.
        baseline: The baseline's.
        runs: How many runs (seeds) of each.
        tasks: One entry a task, then "mean of tasks".
        rel: Against a full-data model, where one was given.
    """

    model: str
    baseline: str
    runs: tuple[int, int]
    tasks: tuple[Difference, ...]
    rel: Rel | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    def render(self) -> str:
        """A text table for people."""
        return "\n".join([table(HEADS, self._rows()), *self._words()])

    def markdown(self) -> str:
        """The same as a Markdown table; names from reports are escaped."""
        heads = f"| {' | '.join(HEADS)} |"
        rows = [f"| {' | '.join(_escaped(cell) for cell in row)} |" for row in self._rows()]
        return "\n".join([heads, "|---" * len(HEADS) + "|", *rows, "", *map(_escaped, self._words())])

    def _rows(self) -> list[list[str]]:
        return [
            [d.task, f"{d.baseline:.2f}", f"{d.model:.2f}", f"{d.difference:+.2f}", _interval(d)]
            + [f"{d.wins}", f"{d.losses}", f"{d.n}"]
            for d in self.tasks
        ]

    def _words(self) -> list[str]:
        words = [
            f"model: {self.model} ({self.runs[0]} runs), baseline: {self.baseline} ({self.runs[1]} runs); "
            f"scale 0 to 100; intervals: {LEVEL:.0%} bootstrap over the same documents"
            + (" and over runs" if max(self.runs) > 1 else "")
        ]
        if self.rel is not None:
            words.append(
                f"Rel.: {self.rel.mean_of_ratios:.2f} % (mean of ratios), "
                f"{self.rel.ratio_of_means:.2f} % (ratio of means) over {', '.join(self.rel.tasks)}"
            )
        return words


HEADS = ["task", "baseline", "model", "difference", "95 % interval", "wins", "losses", "documents"]


def compare(
    model: EvalReport | Sequence[EvalReport],
    baseline: EvalReport | Sequence[EvalReport],
    *,
    full: EvalReport | None = None,
    seed: int = 0,
) -> Comparison:
    """Compare a model with a baseline, paired document by document.

    A task's interval comes from 2,000 resamples of its documents; with several runs (seeds) of a side, runs are
    resampled too, so that the interval covers the training's randomness as far as the runs show it. The mean over tasks
    resamples every task's documents at once.

    Args:
        model: The report of the model, or one report a seed.
        baseline: The same for the baseline.
        full: The report of a model tuned on all data, for Rel.
        seed: Decides the resamples.

    Raises:
        UsageError: Reports of different suites, harness versions or documents, or without a task in common.

    Cost: O(2,000 x documents x runs).
    """
    models, baselines = _runs(model), _runs(baseline)
    comparable([*models, *baselines, *([full] if full else [])])
    names = [t.task for t in models[0].tasks if all(_has(run, t.task) for run in [*models, *baselines])]
    if not names:
        raise UsageError("the reports have no task in common: evaluate both models on one suite.")
    rng = np.random.default_rng(seed)
    entries, draws = [], []
    for name in names:
        entry, resampled = _task(name, models, baselines, rng)
        entries.append(entry)
        draws.append(resampled)
    known = [drawn for drawn in draws if drawn is not None]
    entries.append(mean_of_tasks(entries, np.mean(known, axis=0) if len(known) == len(draws) else None))
    rel = None if full is None else relative(models, full, names)
    return Comparison(models[0].model, baselines[0].model, (len(models), len(baselines)), tuple(entries), rel)


def relative(models: Sequence[EvalReport], full: EvalReport | Sequence[EvalReport], names: Sequence[str]) -> Rel:
    """Compute Rel. of `models` against `full`, each the mean over its runs, by both definitions."""
    fulls = _runs(full)
    tops = {name: np.mean([run[name].percent for run in fulls]) for name in names if all(_has(r, name) for r in fulls)}
    used = [name for name, top in tops.items() if top != 0]
    if not used:
        raise UsageError("the full-data model has no score above 0 on these tasks: Rel. is not defined.")
    mine = np.array([np.mean([run[name].percent for run in models]) for name in used])
    top = np.array([tops[name] for name in used])
    return Rel(float(100 * (mine / top).mean()), float(100 * mine.mean() / top.mean()), tuple(used))


def _runs(reports: EvalReport | Sequence[EvalReport]) -> list[EvalReport]:
    runs = [reports] if isinstance(reports, EvalReport) else list(reports)
    if not runs:
        raise UsageError("no report was given: each side of a comparison needs at least one.")
    return runs


def _has(report: EvalReport, task: str) -> bool:
    return any(result.task == task for result in report.tasks)


def comparable(reports: Sequence[EvalReport]) -> None:
    """Refuse to compare what was measured differently."""
    first = reports[0]
    harness = first.versions.get("lmms-eval")
    for other in reports[1:]:
        if other.versions.get("lmms-eval") != harness:
            raise UsageError(
                f"{first.model} was measured with lmms-eval {harness} and {other.model} with "
                f"{other.versions.get('lmms-eval')}: evaluate both with one version."
            )
        for result in other.tasks:
            if not _has(first, result.task):
                continue
            mine = first[result.task]
            for what in ("data", "metric", "settings"):
                if getattr(mine, what) != getattr(result, what):
                    raise UsageError(
                        f"{first.model} and {other.model} differ in the {what} of {result.task}: evaluate both with "
                        "the same documents and settings."
                    )


def _task(
    name: str, models: list[EvalReport], baselines: list[EvalReport], rng: np.random.Generator
) -> tuple[Difference, np.ndarray | None]:
    """One task's entry, and the differences of its resamples in points (None without scores of documents)."""
    of_models, of_baselines = ([run[name] for run in runs] for runs in (models, baselines))
    value, other = (float(np.mean([t.percent for t in results])) for results in (of_models, of_baselines))
    scores = [[run.scores(name) for run in runs] for runs in (models, baselines)]
    documents = sorted(set.intersection(*(set(of_run) for side in scores for of_run in side)))
    if not documents or not is_mean(of_models[0], list(scores[0][0].values())):
        return Difference(name, value, other, value - other, None, None, 0, 0, of_models[0].n), None
    per_document = [np.array([[of_run[d] for d in documents] for of_run in side]) for side in scores]
    points = 100 / of_models[0].scale
    gap = per_document[0].mean(axis=0) - per_document[1].mean(axis=0)
    drawn = np.array([_resampled(per_document, rng) for _ in range(RESAMPLES)]) * points
    low, high = interval(drawn)
    wins, losses = int((gap > 0).sum()), int((gap < 0).sum())
    return Difference(name, value, other, value - other, low, high, wins, losses, len(documents)), drawn


def is_mean(result: TaskResult, scores: Sequence[float]) -> bool:
    """Whether the task's value is the mean of its documents' scores, so that resampling documents resamples it."""
    return len(scores) > 0 and bool(abs(np.mean(scores) - result.value) <= 1e-6 * max(1.0, result.scale))


def _resampled(sides: list[np.ndarray], rng: np.random.Generator) -> float:
    documents = rng.integers(0, sides[0].shape[1], sides[0].shape[1])
    means = []
    for side in sides:
        runs = rng.integers(0, len(side), len(side)) if len(side) > 1 else np.arange(1)
        means.append(side[runs][:, documents].mean())
    return float(means[0] - means[1])


def interval(drawn: np.ndarray, level: float = LEVEL) -> tuple[float, float]:
    """The ends of the middle `level` of resampled values."""
    tail = (1 - level) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return float(low), float(high)


def mean_of_tasks(entries: Sequence[Difference], drawn: np.ndarray | None) -> Difference:
    """The entry of the mean over tasks, each counting the same; `drawn` are its resampled differences, if there are."""
    low, high = (None, None) if drawn is None else interval(drawn)
    model, baseline = (float(np.mean([getattr(e, side) for e in entries])) for side in ("model", "baseline"))
    totals = {what: sum(getattr(e, what) for e in entries) for what in ("wins", "losses", "n")}
    return Difference("mean of tasks", model, baseline, model - baseline, low, high, **totals)


def _interval(entry: Difference) -> str:
    return "-" if entry.low is None else f"{entry.low:+.2f} to {entry.high:+.2f}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
