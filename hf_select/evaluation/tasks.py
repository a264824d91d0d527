"""Task objects of lmms-eval from its installed files, with our data and the few changes that a suite names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from hf_select.errors import HFSelectError, UnknownName
from hf_select.evaluation.data import Documents
from hf_select.evaluation.harness import harness
from hf_select.evaluation.suite import Benchmark

if TYPE_CHECKING:
    from datasets import Dataset
    from lmms_eval.api.task import ConfigurableTask

_DROPPED = ("group", "tag", "dataset_kwargs")
_SIDE_FILES = ("submission",)


def task_config(benchmark: Benchmark) -> dict[str, Any]:
    """Read a task's file of the installed lmms-eval, its functions included, and check it against what a suite says.

    Raises:
        HFSelectError: The file is gone, or its split or metric is another one: lmms-eval has changed the task.
    """
    version = harness()
    import lmms_eval

    path = Path(lmms_eval.__file__).parent / "tasks" / benchmark.yaml
    if not path.is_file():
        raise HFSelectError(f"lmms-eval {version} has no task file {benchmark.yaml} for {benchmark.task}.")
    config = task_config_file(path)
    split = config.get("test_split") or config.get("validation_split")
    if split != benchmark.split:
        raise HFSelectError(
            f"lmms-eval {version} takes {benchmark.task} from split {split!r}, not {benchmark.split!r}."
        )
    metrics = [entry["metric"] for entry in config["metric_list"]]
    if benchmark.metric not in metrics:
        raise HFSelectError(
            f"lmms-eval {version} measures {', '.join(metrics)} on {benchmark.task}, not {benchmark.metric}."
        )
    return config


def task_config_file(path: Path) -> dict[str, Any]:
    """Read a task's YAML file as lmms-eval does: `include:` followed, every function taken from the file beside it."""
    harness()
    from lmms_eval.utils import load_yaml_config

    return load_yaml_config(str(path), mode="full")


def build_task(found: Documents, *, chat: bool = True) -> ConfigurableTask:
    """Make the task object of a benchmark over its documents.

    Args:
        found: The documents, which replace lmms-eval's own loading.
        chat: For `HFSelectChat`; False for `HFSelectSimple`.

    Raises:
        HFSelectError: The installed lmms-eval's task doesn't fit the suite.
    """
    benchmark = found.benchmark
    config = {name: value for name, value in task_config(benchmark).items() if name not in _DROPPED}
    config["metric_list"] = [entry for entry in config["metric_list"] if entry["metric"] not in _SIDE_FILES]
    if benchmark.pictures is not None:
        config |= _separate_pictures(found)
    if benchmark.override is not None:
        if benchmark.override not in OVERRIDES:
            raise UnknownName(f"override of {benchmark.task}", benchmark.override, OVERRIDES)
        config |= OVERRIDES[benchmark.override](config)
    config |= {"task": benchmark.task, "dataset_path": benchmark.dataset, "dataset_name": benchmark.config}
    return task_object(config, found.rows, benchmark.split, chat=chat)


def task_object(config: Mapping[str, Any], rows: Dataset, split: str, *, chat: bool) -> ConfigurableTask:
    """Make a task object from a configuration and rows that are already there: nothing is downloaded or retried."""
    harness()
    import datasets
    from lmms_eval.api.task import ConfigurableMessagesTask, ConfigurableTask

    def download(self: Any, dataset_kwargs: Any = None) -> None:
        kept = rows if self.config.process_docs is None else self.config.process_docs(rows)
        self.dataset = datasets.DatasetDict({split: kept})
        use_images = self.config.process_results_use_image
        self.dataset_no_image = self.dataset if use_images else datasets.DatasetDict({split: without_pictures(kept)})

    base = ConfigurableMessagesTask if chat else ConfigurableTask
    return type(base.__name__, (base,), {"download": download})(config=dict(config), model_name="hf_select")


def without_pictures(rows: Dataset) -> Dataset:
    """Drop the columns with pictures, so that scoring decodes none."""
    import datasets

    def pictured(feature: Any) -> bool:
        inner = feature.feature if isinstance(feature, datasets.List | datasets.LargeList) else feature
        return isinstance(inner, datasets.Image)

    return rows.remove_columns([name for name, feature in rows.features.items() if pictured(feature)])


def _static_mmbench(config: Mapping[str, Any]) -> dict[str, Any]:
    """MMBench scored by rules alone: lmms-eval's task asks a GPT where they fail, or draws a letter without a key.

    Its own static variant exists for English only; this is the same call for both languages and the lite sets.
    """
    scored = next(entry for entry in config["metric_list"] if entry["metric"] == "gpt_eval_score")
    evaluator = scored["aggregation"].__globals__["mmbench_evaluator"]

    def aggregate(results: list[dict[str, Any]]) -> float:
        return 100 * float(evaluator.eval_result(results, eval_method="static")[0])

    return {"metric_list": [{**scored, "aggregation": aggregate}]}


def _bare_question(config: Mapping[str, Any]) -> dict[str, Any]:
    """The question alone, for a model that knows no instruction around it."""
    return {"lmms_eval_specific_kwargs": {"default": {"pre_prompt": "", "post_prompt": ""}}}


def _separate_pictures(found: Documents) -> dict[str, Any]:
    """GQA's pictures, looked up by id: its own code downloads them by name and writes every one anew."""
    pictures = found.pictures
    places = {name: place for place, name in enumerate(pictures["id"])}
    absent = next((name for name in found.rows["imageId"] if name not in places), None)
    if absent is not None:
        raise HFSelectError(f"{found.benchmark.task} asks about the picture {absent!r}, which {found.source} lacks.")

    def to_visual(document: Mapping[str, Any]) -> list[Any]:
        return [pictures[places[document["imageId"]]]["image"].convert("RGB")]

    return {"doc_to_visual": to_visual, "process_docs": None}


OVERRIDES: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = MappingProxyType(
    {"static_mmbench": _static_mmbench, "bare_question": _bare_question}
)
"""Our changes to lmms-eval's tasks, by the name that `eval/benchmarks.yaml` uses."""
