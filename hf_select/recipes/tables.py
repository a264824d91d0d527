"""The per-task table of a run: what the pool holds, what was picked, and why so many."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from hf_select.sampling.selection import Selection
    from hf_select.sampling.task_weights import TaskWeights
    from hf_select.scoring.scorer import Scorer

NO_TASK = "(no task)"
"""Name of the rows without a task label, as samplers call their group."""


def task_table(scored: pa.Table, picked: Selection, score: str | None) -> list[dict[str, Any]]:
    """Count rows and picks of every task.

    Args:
        scored: Columns `row_key`, `row_task`, `row_status` and those that `score` is derived from.
        picked: The selection made from `scored`.
        score: The score whose mean is shown: a numeric column, or a scorer's prefix and a kind of
            `hf_select.sampling.derive.derived`; None for none.

    Returns:
        One dict a task, largest first: task, rows, usable, picked, share (picked of rows), and the mean score of the
        pool's usable rows and of the picked ones (None where there is none).
    """
    import numpy as np

    scores = np.full(len(scored), np.nan) if score is None else _scores(scored, score)
    known = np.isfinite(scores)

    def mean(rows: np.ndarray) -> float | None:
        return float(scores[rows & known].mean()) if (rows & known).any() else None

    return _largest_first(
        entry | {"mean_score": mean(mine), "mean_score_picked": mean(mine & chosen)}
        for entry, mine, chosen in _counts(scored, picked)
    )


def presel_table(
    facts: pa.Table, picked: Selection, reference: Selection, weights: TaskWeights
) -> list[dict[str, Any]]:
    """Count rows, reference rows and picks of every task, with what decided its budget.

    Args:
        facts: Columns `row_key`, `row_task`, `row_status` of the pool.
        picked: The selection made from them, reference rows included.
        reference: The reference set.
        weights: The tasks' weights.

    Returns:
        One dict a task, largest first: task, rows, usable, picked, share (picked of rows), reference (rows), irs (mean
        over the reference rows), weight, and quota (rows beside the reference that were to be picked, as a fraction).
        A task without a usable row has irs None and weight 0.
    """
    to_pick = len(picked) - len(reference)
    known = {entry["task"]: entry["picked"] for entry, _, _ in _counts(facts, reference)}
    return _largest_first(
        entry
        | {
            "reference": known[entry["task"]],
            "irs": weights.means.get(entry["task"]),
            "weight": weights.weights.get(entry["task"], 0.0),
            "quota": weights.weights.get(entry["task"], 0.0) * to_pick,
        }
        for entry, _, _ in _counts(facts, picked)
    )


def scorer_entry(scorer: Scorer) -> dict[str, Any]:
    """A scorer for a card: name, version, model, weights (commit, or 16 digits of the digest) and dtype."""
    resolved = scorer.resolved
    weights = resolved.get("weights", {})
    sha = weights.get("commit") or str(weights.get("digest", "unknown"))[:16]
    model = Path(scorer.model).name if Path(scorer.model).exists() else scorer.model
    entry = {"name": type(scorer).__name__, "version": scorer.scoring_version, "model": model, "weights": sha}
    return entry | {"dtype": resolved.get("dtype", "unknown")}


def _scores(scored: pa.Table, score: str) -> np.ndarray:
    """The score of every row, float64, NaN where there is none."""
    import pyarrow as pa

    from hf_select.sampling.derive import derived, split_name

    found = None if score in scored.column_names else split_name(score, scored.column_names)
    if found:
        return derived(scored, found[1], found[0])
    return scored[score].cast(pa.float64()).to_numpy(zero_copy_only=False)


def _counts(facts: pa.Table, picked: Selection) -> Iterator[tuple[dict[str, Any], np.ndarray, np.ndarray]]:
    """Yield the common entries of every task, with boolean masks over rows: of the task, and picked."""
    import numpy as np

    from hf_select.sampling.keys import unique_keys

    tasks = np.array([NO_TASK if task is None else task for task in facts["row_task"].to_pylist()], dtype=object)
    usable = np.array(facts["row_status"].to_pylist()) == "ok"
    chosen = set(picked.keys)
    is_picked = np.array([key in chosen for key in unique_keys(facts["row_key"].to_pylist())])
    for task in sorted(set(tasks)):
        mine = tasks == task
        entry = {
            "task": task,
            "rows": int(mine.sum()),
            "usable": int((mine & usable).sum()),
            "picked": int((mine & is_picked).sum()),
            "share": float((mine & is_picked).sum() / mine.sum()),
        }
        yield entry, mine, is_picked


def _largest_first(entries: Iterator[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(entries, key=lambda entry: (-entry["rows"], entry["task"]))
