"""A study's fits and what they show: one record a fit, and RESULTS.json, RESULTS.md and plots of all of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from hf_select.errors import UsageError
from hf_select.evaluation.compare import LEVEL, relative
from hf_select.evaluation.report import EvalReport
from hf_select.evaluation.study_differences import (
    BASELINE,
    FULL,
    START,
    STUDY_RESAMPLES,
    StudyDifference,
    by_side,
    differences,
    grouped,
    shared_tasks,
)
from hf_select.files import write_atomically
from hf_select.text import plain

RUN_FILE = "run.json"
RESULTS_JSON, RESULTS_MD = "RESULTS.json", "RESULTS.md"


@dataclass(frozen=True, kw_only=True)
class StudyRun:
    """One fit of a study.

    Attributes:
        pool: The pool's name in the study.
        recipe: The label in the study; "random" is the baseline, "full" all usable rows, "start" the model before any
            fit.
        budget: As the study writes it, such as "15%"; "100%" for "full" and "0" for "start".
        seed: Of seed rows, seed model, draws and order of training.
        model: The model's name.
        report: The evaluation.
        rows: Rows that were trained on.
        steps: Optimizer steps.
        seconds: Stage -> wall seconds: "score", "select", "fit", "evaluate".
        forwards: Forward passes of the scoring model a row of the pool.
        picked: Task -> picked rows.
        pool_rows: Task -> rows of the pool.
        planted: Kind of planted trouble -> (picked rows, rows of the pool).
    """

    pool: str
    recipe: str
    budget: str
    seed: int
    model: str
    report: EvalReport
    rows: int
    steps: int
    seconds: Mapping[str, float]
    forwards: float
    picked: Mapping[str, int]
    pool_rows: Mapping[str, int]
    planted: Mapping[str, tuple[int, int]]

    def save(self, folder: str | Path) -> Path:
        """Write the report's files and then `run.json` into `folder`; returns the folder."""
        folder = self.report.save(folder)
        told = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "report"}
        kept = {name: dict(value) if isinstance(value, Mapping) else value for name, value in told.items()}
        write_atomically(folder / RUN_FILE, json.dumps(kept, indent=1, ensure_ascii=False))
        return folder

    @classmethod
    def load(cls, folder: str | Path) -> StudyRun:
        """Read what `save` wrote.

        Raises:
            UsageError: A file that is missing or of another layout.
        """
        folder = Path(folder)
        report = EvalReport.load(folder)
        try:
            told = json.loads((folder / RUN_FILE).read_text("utf-8"))
            told["planted"] = {kind: (picked, rows) for kind, (picked, rows) in told["planted"].items()}
            return cls(report=report, **told)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(f"{folder} holds no fit of a study ({plain(str(error))}): run the study again.") from error


def results_json(
    runs: Sequence[StudyRun], about: Mapping[str, Any] | None = None, *, baseline: str = BASELINE
) -> dict[str, Any]:
    """Put everything that RESULTS.md and the plots show into plain values.

    Args:
        runs: The fits, of any number of pools and models.
        about: What else readers have to know, plain values; with a "device" that starts with "cuda" each row's cost
            gets "gpu_hours".
        baseline: The recipe that the others are compared with.

    Returns:
        `rows`, one for each pool, model, recipe and budget that shares a seed with the baseline (which is there too,
        with differences of 0), and `about`: the argument, how it was computed, ends of the scale, what was left out.

    Raises:
        UsageError: No fit, or see `differences`.
    """
    if not runs:
        raise UsageError("the study has no finished fit: run it first.")
    told = dict(about or {})
    entries = differences(runs, baseline)
    groups = grouped(runs)
    on_gpu = str(told.get("device", "")).startswith("cuda")
    rows = [_row(entry, groups[entry.pool, entry.model], on_gpu) for entry in entries]
    ends = [end for group in groups.values() for end in _ends(group)]
    used = sum(len(entry.seeds) for entry in entries)
    facts = {
        "baseline": baseline,
        "level": LEVEL,
        "resamples": STUDY_RESAMPLES,
        "fits": len(runs),
        "fits_left_out": sum(run.recipe not in (START, FULL) for run in runs) - used,
        "ends": ends,
        "tasks_left_out": {f"{pool}, {model}": _tasks_left_out(group) for (pool, model), group in groups.items()},
    }
    return _rounded({"rows": rows, "about": {**told, **facts}})


def write_results(runs: Sequence[StudyRun], out: str | Path, about: Mapping[str, Any] | None = None) -> Path:
    """Write RESULTS.json, plots and RESULTS.md into a folder; returns the file RESULTS.md.

    Raises:
        MissingExtra: matplotlib isn't installed; RESULTS.json is there then.
    """
    from hf_select.evaluation.study_text import results_markdown
    from hf_select.report.study_plots import study_plots

    out = Path(out)
    results = results_json(runs, about)
    write_atomically(out / RESULTS_JSON, json.dumps(results, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    plots = study_plots(results)
    for plot in plots:
        write_atomically(out / plot.file, plot.png)
    write_atomically(out / RESULTS_MD, results_markdown(results, {plot.file: plot.caption for plot in plots}))
    return out / RESULTS_MD


def _row(entry: StudyDifference, group: Sequence[StudyRun], on_gpu: bool) -> dict[str, Any]:
    mine = [group[at] for seed, at in by_side(group)[entry.recipe, entry.budget].items() if seed in entry.seeds]
    fulls = [run for run in group if run.recipe == FULL]
    mean = entry.mean
    adjusted, over_seeds = (ends or (None, None) for ends in (entry.adjusted, entry.over_seeds))
    return {
        "pool": entry.pool,
        "recipe": entry.recipe,
        "budget": _share(mine),
        "budget_label": entry.budget,
        "model": entry.model,
        "seeds": len(entry.seeds),
        "seeds_left_out": len(entry.left_out),
        "score": mean.model,
        "baseline": mean.baseline,
        "diff": mean.difference,
        "diff_low": mean.low,
        "diff_high": mean.high,
        "compared": entry.compared,
        "adjusted_low": adjusted[0],
        "adjusted_high": adjusted[1],
        "over_seeds_low": over_seeds[0],
        "over_seeds_high": over_seeds[1],
        "seeds_won": sum(gap > 0 for gap in entry.seed_gaps),
        "seeds_lost": sum(gap < 0 for gap in entry.seed_gaps),
        "seed_diffs": dict(zip(map(str, entry.seeds), entry.seed_gaps, strict=True)),
        **_rel(mine, fulls, [task.task for task in entry.tasks[:-1]]),
        "tasks": {task.task: _of_task(task) for task in entry.tasks[:-1]},
        "cost": _cost(mine, fulls, on_gpu),
        "rows": _mean([run.rows for run in mine]),
        "steps": _mean([run.steps for run in mine]),
        "picked": _picked(mine),
        "planted": _planted(mine),
    }


def _of_task(task: Any) -> dict[str, Any]:
    told = asdict(task)
    names = {"model": "score", "baseline": "baseline", "difference": "diff", "low": "diff_low", "high": "diff_high"}
    return {short: told[name] for name, short in names.items()} | {"documents": task.n}


def _rel(mine: Sequence[StudyRun], fulls: Sequence[StudyRun], tasks: Sequence[str]) -> dict[str, Any]:
    tops = [run.report for run in fulls]
    if not any(report[task].percent for report in tops for task in tasks):
        return {"rel_mean_of_ratios": None, "rel_ratio_of_means": None, "rel_tasks": 0}
    rel = relative([run.report for run in mine], tops, tasks)
    ratios = {"rel_mean_of_ratios": rel.mean_of_ratios, "rel_ratio_of_means": rel.ratio_of_means}
    return ratios | {"rel_tasks": len(rel.tasks)}


def _cost(mine: Sequence[StudyRun], fulls: Sequence[StudyRun], on_gpu: bool) -> dict[str, Any]:
    seconds = {stage: _mean([run.seconds[stage] for run in mine]) for stage in mine[0].seconds}
    spent = sum(seconds.get(stage, 0.0) for stage in ("score", "select", "fit"))
    whole = _mean([run.seconds.get("fit", 0.0) for run in fulls]) if fulls else 0.0
    cost = {"forwards": _mean([run.forwards for run in mine]), "seconds": seconds}
    cost["of_full_time"] = spent / whole if whole else None
    return cost | ({"gpu_hours": spent / 3600} if on_gpu else {})


def _picked(mine: Sequence[StudyRun]) -> dict[str, Any]:
    """Task -> its share of what was picked (None where nothing was) and of the pool, mean over seeds."""
    sums = [(sum(run.picked.values()), sum(run.pool_rows.values())) for run in mine]
    return {
        task: {
            "share": _mean([run.picked.get(task, 0) / n for run, (n, _) in zip(mine, sums, strict=True)])
            if all(n for n, _ in sums)
            else None,
            "pool": _mean([run.pool_rows[task] / n for run, (_, n) in zip(mine, sums, strict=True)]),
        }
        for task in mine[0].pool_rows
    }


def _planted(mine: Sequence[StudyRun]) -> dict[str, Any]:
    """Kind -> its share of the picked rows and of the pool, and the first relative to the second; mean over seeds."""
    told = {}
    for kind, (_, inside) in mine[0].planted.items():
        share = _mean([run.planted[kind][0] / run.rows if run.rows else 0.0 for run in mine])
        pool = inside / sum(mine[0].pool_rows.values())
        told[kind] = {"share": share, "pool": pool, "to_chance": share / pool if pool else None}
    return told


def _share(mine: Sequence[StudyRun]) -> float:
    """The budget as a share of the pool; one in rows or tokens by the rows that it gave."""
    label = mine[0].budget
    if label.endswith("%"):
        return float(Decimal(label[:-1]) / 100)
    return _mean([run.rows for run in mine]) / sum(mine[0].pool_rows.values())


def _ends(group: Sequence[StudyRun]) -> list[dict[str, Any]]:
    tasks = shared_tasks(group)
    told = []
    for name in (START, FULL):
        runs = [run for run in group if run.recipe == name]
        if runs:
            scores = {task: _mean([run.report[task].percent for run in runs]) for task in tasks}
            told.append(
                {
                    "pool": runs[0].pool,
                    "model": runs[0].model,
                    "end": name,
                    "seeds": len(runs),
                    "score": _mean(list(scores.values())),
                    "rows": _mean([run.rows for run in runs]),
                    "steps": _mean([run.steps for run in runs]),
                    "seconds": {stage: _mean([run.seconds[stage] for run in runs]) for stage in runs[0].seconds},
                    "tasks": scores,
                }
            )
    return told


def _tasks_left_out(group: Sequence[StudyRun]) -> list[str]:
    kept = set(shared_tasks(group))
    return sorted({result.task for run in group for result in run.report.tasks} - kept)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


def _rounded(value: Any) -> Any:
    """The same with floats to six places, beyond which processors differ."""
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, Mapping):
        return {str(key): _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return value
