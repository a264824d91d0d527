"""The per-task table of a run: what the pool holds, what was picked, and how necessary it was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

    from hf_select.sampling.selection import Selection

NO_TASK = "(no task)"


def task_table(scored: pa.Table, picked: Selection, score: str) -> list[dict[str, Any]]:
    """Count rows and picks of every task.

    Args:
        scored: Columns `row_key`, `row_task`, `row_status` and those that `score` is derived from.
        picked: The selection made from `scored`.
        score: The derived score whose mean is shown, as in `hf_select.sampling.derive.derived`.

    Returns:
        One dict a task, largest first: task, rows, usable, picked, share (picked of rows), and the mean score of the
        pool's usable rows and of the picked ones (None where there is none).
    """
    import numpy as np

    from hf_select.sampling.derive import derived
    from hf_select.sampling.keys import unique_keys

    tasks = np.array([NO_TASK if task is None else task for task in scored["row_task"].to_pylist()], dtype=object)
    usable = np.array(scored["row_status"].to_pylist()) == "ok"
    chosen = set(picked.table["key"].to_pylist())
    is_picked = np.array([key in chosen for key in unique_keys(scored["row_key"].to_pylist())])
    scores = np.asarray(derived(scored, score), dtype=np.float64)
    known = np.isfinite(scores)

    def mean(rows: np.ndarray) -> float | None:
        return float(scores[rows & known].mean()) if (rows & known).any() else None

    table = []
    for task in sorted(set(tasks)):
        mine = tasks == task
        table.append(
            {
                "task": task,
                "rows": int(mine.sum()),
                "usable": int((mine & usable).sum()),
                "picked": int((mine & is_picked).sum()),
                "share": float((mine & is_picked).sum() / mine.sum()),
                "mean_score": mean(mine),
                "mean_score_picked": mean(mine & is_picked),
            }
        )
    return sorted(table, key=lambda entry: (-entry["rows"], entry["task"]))
