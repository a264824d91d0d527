"""Results where the Hub reads them: `.eval_results/` and the model index of the model's card."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_select.errors import HFSelectError, UsageError
from hf_select.files import write_atomically
from hf_select.hub.commit import Published, commit_folder
from hf_select.hub.folder import temporary_folder
from hf_select.hub.preflight import Target, check_card, preflight

if TYPE_CHECKING:
    from hf_select.evaluation.report import EvalReport, TaskResult
    from hf_select.evaluation.suite import Benchmark

_EMPTY = "---\ntags:\n- hf_select\n---\n"


def push_results(
    report: EvalReport,
    repo_id: str,
    *,
    note: Callable[[str], None] = lambda text: None,
    sleep: Callable[[float], None] = time.sleep,
) -> Published:
    """Add a report's results to a model repository by one commit; everything else in it is left as it is.

    Written are `.eval_results/<suite>.yaml`, which the Hub's leaderboards read, and entries of the card's model index
    in place of those for the same benchmark and metric. A task that failed is never pushed.

    Raises:
        UsageError: The report has no result.
        HFSelectError: The Hub refuses, or the card that is there can't be read.
    """
    from hf_select.evaluation.suite import load_benchmarks

    known = load_benchmarks()
    results = [(result, known[result.task]) for result in report.tasks if result.task in known]
    if not results:
        raise UsageError(f"the report of {report.model} has no result of a benchmark: there is nothing to push.")
    # Only files of our own names are written, so what others wrote is never replaced.
    target = Target(repo_id, repo_type="model", overwrite=True)
    found = preflight(target, sleep=sleep)
    check_card(_card(found.card, repo_id, results), target, sleep=sleep)
    with temporary_folder() as folder:
        write_atomically(folder / ".eval_results" / f"{report.suite}.yaml", _entries(report, results))
        return commit_folder(
            folder,
            target,
            found,
            card=lambda there: _card(there, repo_id, results),
            message=f"results of {len(results)} benchmarks by hf_select",
            owned=lambda path: False,
            note=note,
            sleep=sleep,
        )


def _entries(report: EvalReport, results: list[tuple[TaskResult, Benchmark]]) -> str:
    import yaml
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    told = f"lmms-eval {report.versions['lmms-eval']}, hf_select {report.versions['hf_select']}"
    told += f", weights {report.weights[:16]}"
    entries = [
        EvalResultEntry(
            dataset_id=benchmark.dataset,
            task_id=result.task,
            value=result.value,
            dataset_revision=benchmark.revision,
            notes=f"{result.metric} of 0 to {result.scale:g}, {result.n} documents, {told}",
        )
        for result, benchmark in results
    ]
    return yaml.safe_dump(eval_result_entries_to_yaml(entries), sort_keys=False, allow_unicode=True)


def _card(existing: str | None, repo_id: str, results: list[tuple[TaskResult, Benchmark]]) -> str:
    """The card with our entries in its model index; its words are kept to the letter."""
    from huggingface_hub import EvalResult, ModelCard

    try:
        card = ModelCard(existing or _EMPTY, ignore_metadata_errors=False)
    except (ValueError, TypeError, KeyError) as error:
        told = " ".join(str(error).split())
        raise HFSelectError(f"the card of {repo_id} can't be read ({told}): mend it first.") from error
    ours = [
        EvalResult(
            task_type="image-text-to-text",
            dataset_type=benchmark.dataset,
            dataset_name=benchmark.benchmark,
            dataset_config=benchmark.config,
            dataset_split=benchmark.split,
            dataset_revision=benchmark.revision,
            metric_type=result.metric,
            metric_value=result.value,
            metric_name=f"{result.metric} (0 to {result.scale:g}, {result.n} documents)",
        )
        for result, benchmark in results
    ]
    replaced = {_same(entry) for entry in ours}
    kept = [entry for entry in card.data.eval_results or [] if _same(entry) not in replaced]
    card.data.model_name = card.data.model_name or Path(repo_id).name
    card.data.eval_results = [*kept, *ours]
    return str(card)


def _same(entry: Any) -> tuple[Any, ...]:
    return (entry.dataset_type, entry.dataset_config, entry.dataset_split, entry.metric_type)
