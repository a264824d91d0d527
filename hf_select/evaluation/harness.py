"""The installed lmms-eval, made to work without touching its files: checks, repairs in memory, and one way to call it.

What 0.7.3 needs, each repair one function, so that a newer version that moves it is noticed: its patch of file locks
imports a module that filelock 4.3 dropped, after the model is loaded; a torchvision that doesn't fit torch breaks
imports with a message that names neither; likelihoods are turned into text on the way to a task (the adapter hands them
over in the one form that isn't); and math-verify, which pip picks in a version that can't be imported, is needed by
none of the tasks here.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import logging
import math
import sys
from collections.abc import Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_select.errors import HFSelectError, require

if TYPE_CHECKING:
    from lmms_eval.api.task import ConfigurableTask

    from hf_select.evaluation.adapter import Adapter

logger = logging.getLogger(__name__)

TESTED = ("0.7.3",)
"""Versions of lmms-eval that this package's tests run against."""


@cache
def harness() -> str:
    """Make lmms-eval usable in this process and return its version.

    Warns in the log when the version is none of `TESTED`.

    Raises:
        MissingExtra: It isn't installed.
        HFSelectError: A broken torchvision, or an lmms-eval that can't be imported.
    """
    _check_torchvision()
    require("lmms_eval", "eval")
    version = metadata.version("lmms_eval")
    if version not in TESTED:
        logger.warning(
            "lmms-eval %s is installed, which hf_select was not tested with (tested: %s): numbers may differ",
            version,
            ", ".join(TESTED),
        )
    from loguru import logger as theirs

    if not logger.isEnabledFor(logging.DEBUG):
        theirs.disable("lmms_eval")
    try:
        evaluator = importlib.import_module("lmms_eval.evaluator")
    except ImportError as error:
        told = " ".join(str(error).split())
        raise HFSelectError(
            f"lmms-eval {version} can't be imported ({told}): pip install 'hf_select[eval]'."
        ) from error
    _skip_lock_patch(evaluator)
    return version


def run_tasks(
    adapter: Adapter, tasks: Sequence[ConfigurableTask], scratch: str | Path, *, batch_size: int = 1
) -> dict[str, Any]:
    """Run lmms-eval's `simple_evaluate` on task objects and return what it returned.

    The working directory is `scratch` meanwhile, since tasks write side files there; what they print goes to stderr;
    the response cache stays off, for its key doesn't know the weights. Build the tasks anew for every model: some keep
    counts in their modules (OCRBench), which a second run would add to.

    Args:
        adapter: The model, `HFSelectChat` or `HFSelectSimple` as the tasks were built for.
        tasks: From `hf_select.evaluation.tasks`.
        scratch: An existing folder, new for each model (HallusionBench reads old judgements from it).
        batch_size: For lmms-eval's record only; the adapter has its own.

    Raises:
        HFSelectError: Scoring a document failed; the sentence has the cause. Errors of the model are passed on.
    """
    harness()
    import tenacity
    from lmms_eval.evaluator import simple_evaluate
    from lmms_eval.tasks import TaskManager

    place = Path(scratch).resolve()
    words = argparse.Namespace(output_path=str(place), process_with_media=False)
    try:
        with contextlib.chdir(place), contextlib.redirect_stdout(sys.stderr):
            return simple_evaluate(
                model=adapter,
                tasks=list(tasks),
                task_manager=TaskManager(include_defaults=False),
                batch_size=batch_size,
                bootstrap_iters=0,
                log_samples=True,
                cli_args=words,
                process_docs_parallel=1,
            )
    except tenacity.RetryError as error:
        cause = error.last_attempt.exception()
        told = f"{type(cause).__name__}: {' '.join(str(cause).split())[:300]}"
        raise HFSelectError(f"lmms-eval could not score an answer ({told}).") from cause


def metric_value(results: dict[str, Any], task: str, metric: str) -> float:
    """Return a task's metric from what `run_tasks` gave, whatever filter its key carries.

    Raises:
        HFSelectError: The task has no such metric, or its value is no number.
    """
    found = results.get("results", {}).get(task, {})
    values = [value for key, value in found.items() if key.split(",")[0] == metric]
    if not values:
        there = ", ".join(sorted({key.split(",")[0] for key in found if "_stderr" not in key})) or "nothing"
        raise HFSelectError(f"lmms-eval gave no {metric} for {task}, but {there}: the task failed or has changed.")
    if values[0] is None or not math.isfinite(float(values[0])):
        raise HFSelectError(f"lmms-eval gave {values[0]} as {metric} of {task}: that is no result.")
    return float(values[0])


def _check_torchvision() -> None:
    if importlib.util.find_spec("torchvision") is None:
        return
    try:
        importlib.import_module("torchvision")
    except (ImportError, RuntimeError, OSError) as error:
        told = " ".join(str(error).split())[:200]
        raise HFSelectError(
            f"the installed torchvision doesn't fit torch ({told}): uninstall it, or install the build that fits."
        ) from error


def _skip_lock_patch(evaluator: Any) -> None:
    """Tell lmms-eval that its patch of file locks is done: it is for sets that load others, which ours never do."""
    patch = vars(evaluator).get("_enable_reentrant_filelocks")
    if patch is not None:
        patch._patched = True
