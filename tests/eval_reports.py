"""Small evaluation reports for tests."""

import pyarrow as pa

from hf_select.evaluation.report import SAMPLES, EvalReport, TaskResult


def result(task, values, *, scale=1.0, data="d0", settings=None):
    mean = sum(values) / len(values)
    return TaskResult(task, "anls", mean, scale, len(values), 0.1 * scale, data, settings or {"limit": None}, 2.0)


def report(scores, *, model="tuned", **fields):
    """A report whose tasks have these scores of documents."""
    rows = [
        {"task": t, "doc_id": i, "document": f"{t}-{i}", "prompt": "?", "answer": "a", "target": "a", "score": v}
        for t, values in scores.items()
        for i, v in enumerate(values)
    ]
    tasks = tuple(result(task, values, **fields) for task, values in scores.items())
    return EvalReport(model, "w" * 8, "documents", tasks, {"lmms-eval": "0.7.3"}, pa.Table.from_pylist(rows, SAMPLES))
