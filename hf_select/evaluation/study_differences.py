"""Recipes against random over several seeds: differences with intervals paired over seeds and documents."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from hf_select.errors import UsageError
from hf_select.evaluation.compare import LEVEL, Difference, comparable, interval, is_mean, mean_of_tasks

if TYPE_CHECKING:
    from hf_select.evaluation.report import EvalReport
    from hf_select.evaluation.study_results import StudyRun

BASELINE = "random"
START, FULL = "start", "full"
"""Names of the ends of the scale: the model before any fit, and tuned on every usable row."""

STUDY_RESAMPLES = 10_000
"""Enough for the tails of an interval that counts twenty comparisons: 0.125 % of them are 12 resamples."""

_STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
"""97.5 % points of Student's t with 1 to 10 degrees of freedom; the last stands for more, which is wide."""

Ends = tuple[float, float]
Side = tuple[str, str]
"""Recipe and budget."""


@dataclass(frozen=True, kw_only=True)
class StudyDifference:
    """One recipe at one budget against the baseline of the same seeds, pool, budget and model; points of 0 to 100.

    Attributes:
        pool: The pool.
        model: The model.
        recipe: The recipe's label.
        budget: The budget as the study writes it.
        seeds: Seeds that both sides have; everything here is over these.
        left_out: Seeds that only one side has.
        tasks: One entry a task, then "mean of tasks". Intervals are 95 % percentiles of 10,000 resamples that draw
            seeds (the same for both sides and all tasks) and each task's documents (the same for both sides and all
            seeds); with one seed documents alone.
        seed_gaps: Mean of tasks minus the baseline's, a value for each of `seeds`.
        compared: How many recipes were compared with the baseline on this pool, model and budget.
        adjusted: The interval of the mean at the level 1 - 0.05 / `compared` (Bonferroni): all `compared` intervals of
            this kind together hold their values with 95 %.
        over_seeds: 95 % interval of the mean by Student's t over `seed_gaps`, the documents taken as given; None with
            one seed. Percentiles over five seeds are too narrow, this one isn't.
    """

    pool: str
    model: str
    recipe: str
    budget: str
    seeds: tuple[int, ...]
    left_out: tuple[int, ...]
    tasks: tuple[Difference, ...]
    seed_gaps: tuple[float, ...]
    compared: int
    adjusted: Ends | None
    over_seeds: Ends | None

    @property
    def mean(self) -> Difference:
        """The mean of tasks, each counting the same."""
        return self.tasks[-1]


@dataclass(frozen=True)
class _Pair:
    """Rows of a group's matrices: a recipe's fits and the baseline's, seed by seed."""

    side: Side
    seeds: tuple[int, ...]
    left_out: tuple[int, ...]
    mine: list[int]
    theirs: list[int]


def differences(runs: Sequence[StudyRun], baseline: str = BASELINE, *, seed: int = 0) -> list[StudyDifference]:
    """Compare every recipe and budget of each pool and model with the baseline.

    The baseline has an entry too, with differences of 0.
    Tasks that not every fit of a pool and model has are left out of all of them (see `shared_tasks`); the ends of the
    scale, and sides that share no seed with the baseline, have no entry.

    Args:
        runs: Fits of any number of pools and models, in any order.
        baseline: The recipe that the others are compared with.
        seed: Decides the resamples; an entry's numbers don't depend on which other recipes there are, beside
            `compared` and `adjusted`.

    Raises:
        UsageError: Fits that were measured differently, a fit that is given twice, or fits without a task in common.

    Cost: 20,000 x documents x fits operations, in memory 160 KB a document of the largest task.
    """
    return [entry for group in grouped(runs).values() for entry in _differences(group, baseline, seed)]


def grouped(runs: Sequence[StudyRun]) -> dict[tuple[str, str], list[StudyRun]]:
    """The fits of each pool and model, in the order of their first fits."""
    groups: dict[tuple[str, str], list[StudyRun]] = {}
    for run in runs:
        groups.setdefault((run.pool, run.model), []).append(run)
    return groups


def by_side(group: Sequence[StudyRun]) -> dict[Side, dict[int, int]]:
    """Recipe and budget -> seed -> place in `group`.

    Raises:
        UsageError: Two fits of one recipe, budget and seed.
    """
    sides: dict[Side, dict[int, int]] = {}
    for at, run in enumerate(group):
        if sides.setdefault((run.recipe, run.budget), {}).setdefault(run.seed, at) != at:
            raise UsageError(
                f"{run.recipe} at {run.budget} on {run.pool} was given twice with seed {run.seed}: give each fit once."
            )
    return sides


def shared_tasks(group: Sequence[StudyRun]) -> list[str]:
    """The tasks that every fit has, in the first fit's order.

    Raises:
        UsageError: There is none.
    """
    sets = [{result.task for result in run.report.tasks} for run in group]
    names = [result.task for result in group[0].report.tasks if all(result.task in one for one in sets)]
    if not names:
        raise UsageError(f"the fits on {group[0].pool} have no task in common: evaluate all on one suite.")
    return names


def _differences(group: list[StudyRun], baseline: str, seed: int) -> Iterator[StudyDifference]:
    sides = by_side(group)
    comparable([run.report for run in group])
    pairs = list(_pairs(sides, baseline))
    tasks = shared_tasks(group)
    percents = np.array([[run.report[task].percent for task in tasks] for run in group])
    documents = [_documents(run.report) for run in group]
    of_seeds = {n: _weights(n, [seed, 1, n]) for n in {len(pair.seeds) for pair in pairs}}
    entries: list[list[Difference]] = [[] for _ in pairs]
    totals: list[np.ndarray | None] = [np.zeros(STUDY_RESAMPLES) for _ in pairs]
    for column, task in enumerate(tasks):
        points = _matrix([run.report for run in group], documents, task)
        weights = None if points is None else _weights(points.shape[1], [seed, 0, zlib.crc32(task.encode())])
        for at, pair in enumerate(pairs):
            value, other = (float(percents[rows, column].mean()) for rows in (pair.mine, pair.theirs))
            entry = Difference(task, value, other, value - other, None, None, 0, 0, group[0].report[task].n)
            if points is None or weights is None:
                totals[at] = None
            else:
                gaps = points[pair.mine] - points[pair.theirs]
                drawn = np.einsum("rs,rs->r", weights @ gaps.T, of_seeds[len(pair.seeds)])
                entry = _with_documents(entry, gaps.mean(axis=0), drawn)
                if (total := totals[at]) is not None:
                    total += drawn / len(tasks)
            entries[at].append(entry)
    for pair, of_tasks, total in zip(pairs, entries, totals, strict=True):
        gaps = percents[pair.mine].mean(axis=1) - percents[pair.theirs].mean(axis=1)
        compared = sum(p.side[1] == pair.side[1] and p.side[0] != baseline for p in pairs)
        yield StudyDifference(
            pool=group[0].pool,
            model=group[0].model,
            recipe=pair.side[0],
            budget=pair.side[1],
            seeds=pair.seeds,
            left_out=pair.left_out,
            tasks=(*of_tasks, mean_of_tasks(of_tasks, total)),
            seed_gaps=tuple(gaps.tolist()),
            compared=compared,
            adjusted=None if total is None else interval(total, 1 - (1 - LEVEL) / max(compared, 1)),
            over_seeds=_student(gaps),
        )


def _pairs(sides: Mapping[Side, Mapping[int, int]], baseline: str) -> Iterator[_Pair]:
    for side, mine in sides.items():
        theirs = sides.get((baseline, side[1]), {})
        seeds = sorted(mine.keys() & theirs.keys())
        if seeds and side[0] not in (START, FULL):
            left_out = tuple(sorted(mine.keys() ^ theirs.keys()))
            yield _Pair(side, tuple(seeds), left_out, [mine[s] for s in seeds], [theirs[s] for s in seeds])


def _documents(report: EvalReport) -> dict[str, tuple[list[str], np.ndarray]]:
    """Task -> digests of its documents that have a score, sorted, and their scores; equal documents by their number."""
    table = report.samples.select(["task", "document", "doc_id", "score"]).drop_null()
    table = table.sort_by([(name, "ascending") for name in ("task", "document", "doc_id")])
    tasks, scores = np.array(table["task"].to_pylist(), dtype=object), table["score"].to_numpy()
    digests = table["document"].to_pylist()
    names, starts = np.unique(tasks, return_index=True) if len(tasks) else ([], np.zeros(0, int))
    ends = [*starts[1:], len(tasks)]
    return {str(t): (digests[a:b], scores[a:b]) for t, a, b in zip(names, starts, ends, strict=True)}


def _matrix(
    reports: Sequence[EvalReport], documents: Sequence[Mapping[str, tuple[list[str], np.ndarray]]], task: str
) -> np.ndarray | None:
    """Points of shape (fits, documents); None where a fit's value isn't the mean over the same documents."""
    empty: tuple[list[str], np.ndarray] = ([], np.zeros(0))
    first = documents[0].get(task, empty)[0]
    rows = []
    for report, of_report in zip(reports, documents, strict=True):
        digests, scores = of_report.get(task, empty)
        if digests != first or not is_mean(report[task], scores):
            return None
        rows.append(scores * 100 / report[task].scale)
    return np.stack(rows)


def _weights(n: int, key: Sequence[int]) -> np.ndarray:
    """Shares of shape (resamples, n): how often each of n things is in a resample of n, divided by n."""
    rng = np.random.default_rng(list(key))
    return rng.multinomial(n, np.full(n, 1 / n), size=STUDY_RESAMPLES) / n


def _with_documents(entry: Difference, gaps: np.ndarray, drawn: np.ndarray) -> Difference:
    low, high = interval(drawn)
    wins, losses = int((gaps > 0).sum()), int((gaps < 0).sum())
    return replace(entry, low=low, high=high, wins=wins, losses=losses, n=len(gaps))


def _student(gaps: np.ndarray) -> Ends | None:
    if len(gaps) < 2:
        return None
    half = _STUDENT[min(len(gaps) - 1, len(_STUDENT)) - 1] * gaps.std(ddof=1) / np.sqrt(len(gaps))
    return float(gaps.mean() - half), float(gaps.mean() + half)
