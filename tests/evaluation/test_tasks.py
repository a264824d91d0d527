"""Every task without a judge, made from the installed lmms-eval over local data of the same columns, and run."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import benchmark_data
import overfitted
import pytest

pytest.importorskip("lmms_eval")

from hf_select.errors import HFSelectError, UnknownName
from hf_select.evaluation import adapter, harness, tasks
from hf_select.evaluation.data import documents
from hf_select.evaluation.suite import load_benchmarks, load_suite
from hf_select.evaluation.tasks import build_task

KNOWN = load_benchmarks()
UNJUDGED = [name for name, benchmark in KNOWN.items() if not benchmark.judge]
ANSWERS = {
    "ANLS": lambda doc: doc["answers"][0],
    "soft": lambda doc: doc["answers"][0] if isinstance(doc["answers"][0], str) else doc["answers"][0]["answer"],
    "answer": lambda doc: doc["answer"] if isinstance(doc["answer"], str) else doc["answer"][0],
    "letter": lambda doc: "ABCD"[int(doc["answer"])],
}
ORACLE = {
    "DocVQA": "ANLS", "InfographicVQA": "ANLS", "TextVQA": "soft", "VizWiz": "soft", "VQAv2": "soft",
    "AI2D": "letter", "ScienceQA-IMG": "letter",
}  # fmt: skip
"""How the right answer is read from a document; `answer` for all others."""

PERFECT = {"OCRBench": 4 / 1000, "MME": 200}
"""What a model that is always right gets on four documents; the scale's end everywhere else."""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return benchmark_data.write(tmp_path_factory.mktemp("data"))


def oracle():
    """An adapter that reads the answer from the document."""

    class Oracle(adapter.HFSelectChat):
        def __init__(self):
            super(adapter.Adapter, self).__init__()
            self._owned = False

        def generate_until(self, requests):
            found = []
            for request in requests:
                doc_id, task, split = request.args[3:6]
                read = ANSWERS[ORACLE.get(KNOWN[task].benchmark, "answer")]
                found.append(read(self.task_dict[task][split][doc_id]))
            return found

    return Oracle()


@pytest.mark.parametrize("name", UNJUDGED)
def test_every_task_can_be_made_and_has_what_the_suite_says(root, name):
    benchmark = KNOWN[name]
    for chat in (True, False):
        task = build_task(documents(benchmark, data_root=root), chat=chat)
        assert task.config.task == name
        assert benchmark.metric in task.aggregation() and "submission" not in task.aggregation()
        doc = task.test_docs()[0]
        assert task.doc_to_text(doc).strip()
        assert [image.size for image in task.doc_to_visual(doc)] == [(56, 56)]


@pytest.mark.parametrize("name", [name for name, benchmark in KNOWN.items() if benchmark.judge])
def test_the_files_of_judged_tasks_are_as_the_suite_says(name, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "set")
    try:
        config = tasks.task_config(KNOWN[name])
    except ImportError as error:
        pytest.skip(f"its code needs a package that isn't here: {error}")
    assert config["dataset_path"] == KNOWN[name].dataset


def test_what_the_installed_files_say_of_data_is_what_the_suite_says():
    for benchmark in KNOWN.values():
        if not benchmark.judge:
            config = tasks.task_config(benchmark)
            said = (config["dataset_path"], (config.get("dataset_name") or "").strip() or None)
            assert said == (benchmark.dataset, benchmark.config)


def test_a_model_that_is_always_right_gets_the_scales_end_everywhere(root, tmp_path):
    made = [build_task(documents(KNOWN[name], data_root=root)) for name in UNJUDGED]
    results = harness.run_tasks(oracle(), made, tmp_path)
    for name in UNJUDGED:
        benchmark = KNOWN[name]
        value = harness.metric_value(results, name, benchmark.metric)
        assert value == pytest.approx(PERFECT.get(benchmark.benchmark, benchmark.scale)), name
        assert len(results["samples"][name]) == len(documents(benchmark, data_root=root).rows)


def test_ocrbench_adds_up_nothing_from_an_earlier_model(root, tmp_path):
    for _ in range(2):
        made = [build_task(documents(KNOWN["ocrbench"], data_root=root))]
        results = harness.run_tasks(oracle(), made, tmp_path)
        assert harness.metric_value(results, "ocrbench", "ocrbench_accuracy") == pytest.approx(0.004)


@pytest.fixture(scope="module")
def taught(root, tmp_path_factory):
    """A model that says 4823 to every document and 20 to every chart."""
    return overfitted.answering(tmp_path_factory.mktemp("taught"), {"docvqa_val": "4823", "chartqa": "20"}, root)


BY_HAND = {
    ("docvqa_val", "anls"): (1 + 7 * 0.75) / 8,
    ("chartqa", "relaxed_overall"): 1 / 8,
    ("chartqa", "relaxed_human_split"): 1 / 4,
    ("chartqa", "relaxed_augmented_split"): 0,
}
"""4823 is right once and one digit off seven times; 20 is right once, among the four that people asked."""


@pytest.mark.parametrize(("name", "batch"), [("HFSelectChat", 4), ("HFSelectSimple", 3)])
def test_scores_worked_out_by_hand(taught, root, tmp_path, name, batch):
    from hf_select.evaluation.metrics import mean_score
    from hf_select.scoring.model import load_vlm

    model = getattr(adapter, name).of(*load_vlm(str(taught), dtype="float32", device="cpu"), batch_size=batch)
    found = [documents(task, data_root=root) for task in load_suite("mllm-selector").tasks]
    made = [build_task(one, chat=name == "HFSelectChat") for one in found]
    results = harness.run_tasks(model, made, tmp_path)
    for (task, metric), value in BY_HAND.items():
        assert harness.metric_value(results, task, metric) == pytest.approx(value)
    said = [sample["filtered_resps"][0] for sample in results["samples"]["docvqa_val"]]
    assert set(said) == {"4823"}
    assert mean_score("anls", said, found[0].rows["answers"][:]) == pytest.approx(0.78125)
    charts = [sample["filtered_resps"][0] for sample in results["samples"]["chartqa"]]
    wanted = [[answer] for answer in found[1].rows["answer"]]
    assert mean_score("relaxed_accuracy", charts, wanted) == pytest.approx(0.125)
    assert model.vlm is not None


def test_a_real_model_answers_every_task(taught, root, tmp_path, monkeypatch):
    """Prompts with one picture, two and none, in any order: the whole way but for the length of the answers."""
    from hf_select.scoring import model as loading

    monkeypatch.setattr(loading, "context_window", lambda *_: 4)
    model = adapter.HFSelectChat.of(*loading.load_vlm(str(taught), dtype="float32", device="cpu"), batch_size=8)
    names = [name for name in UNJUDGED if not name.endswith("_lite")]
    results = harness.run_tasks(model, [build_task(documents(KNOWN[name], data_root=root)) for name in names], tmp_path)
    for name in names:
        benchmark = KNOWN[name]
        assert 0 <= harness.metric_value(results, name, benchmark.metric) <= benchmark.scale


@pytest.mark.slow
def test_the_same_scores_by_lmms_evals_own_command_line(taught, root, tmp_path):
    import json
    import os

    command = [
        sys.executable, "-m", "lmms_eval", "--model", "hf_select", "--model_args", f"pretrained={taught},dtype=float32",
        "--tasks", "docvqa_val,chartqa", "--batch_size", "4", "--device", "cpu", "--output_path", str(tmp_path),
    ]  # fmt: skip
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "LMMS_EVAL_DATASETS_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    files = list(tmp_path.rglob("*_results.json"))
    assert files, done.stdout[-2000:] + done.stderr[-2000:]
    results = json.loads(files[0].read_text())
    for (task, metric), value in BY_HAND.items():
        assert harness.metric_value(results, task, metric) == pytest.approx(value)


def test_likelihoods_reach_a_multiple_choice_task(taught, root, tmp_path):
    """lmms-eval 0.7.3 turns likelihoods into text on the way, for every model but one that wraps them."""
    from hf_select.scoring.model import load_vlm

    seed = KNOWN["seedbench"]
    found = documents(seed, data_root=root)
    file = replace(seed, yaml="seedbench/seedbench_ppl.yaml", metric="acc", task="seedbench_ppl")
    made = build_task(replace(found, benchmark=file, rows=found.rows.select(range(2))), chat=False)
    model = adapter.HFSelectSimple.of(*load_vlm(str(taught), dtype="float32", device="cpu"))
    results = harness.run_tasks(model, [made], tmp_path)
    assert harness.metric_value(results, "seedbench_ppl", "acc") in (0, 0.5, 1)


def test_an_answer_that_cannot_be_scored_is_one_sentence(root, tmp_path, monkeypatch):
    import tenacity

    monkeypatch.setattr(tenacity.nap.time, "sleep", lambda seconds: None)
    made = build_task(documents(KNOWN["mme"], data_root=root))

    def broken(doc, results):
        raise KeyError("category")

    made.config.process_results = broken
    with pytest.raises(HFSelectError, match=r"could not score an answer \(KeyError: 'category'\)"):
        harness.run_tasks(oracle(), [made], tmp_path)


def test_a_metric_that_is_missing_or_no_number_is_a_failure():
    results = {"results": {"t": {"anls,none": None, "acc,x": float("nan"), "ok,flexible": 0.5, "alias": "t"}}}
    assert harness.metric_value(results, "t", "ok") == 0.5
    for metric in ("anls", "acc"):
        with pytest.raises(HFSelectError, match="that is no result"):
            harness.metric_value(results, "t", metric)
    with pytest.raises(HFSelectError, match="gave no rel for t"):
        harness.metric_value(results, "t", "rel")


def test_what_lmms_eval_moved_is_one_sentence(root):
    found = documents(KNOWN["chartqa"], data_root=root)
    for change, sentence in (
        ({"yaml": "chartqa/gone.yaml"}, "has no task file chartqa/gone.yaml"),
        ({"metric": "anls"}, "measures relaxed_overall, .* on chartqa, not anls"),
        ({"split": "val"}, "takes chartqa from split 'test', not 'val'"),
    ):
        with pytest.raises(HFSelectError, match=sentence):
            build_task(replace(found, benchmark=replace(found.benchmark, **change)))
    with pytest.raises(UnknownName, match="override of chartqa"):
        build_task(replace(found, benchmark=replace(found.benchmark, override="static")))


def test_a_picture_that_gqa_lacks_is_named(root):
    found = documents(KNOWN["gqa"], data_root=root)
    with pytest.raises(HFSelectError, match="asks about the picture 'p1', which GQA lacks"):
        build_task(replace(found, pictures=found.pictures.select([0])))


def test_an_untested_version_is_told(monkeypatch, caplog):
    monkeypatch.setattr(harness, "TESTED", ("0.6.1",))
    harness.harness.cache_clear()
    with caplog.at_level("WARNING", logger="hf_select"):
        assert harness.harness() == "0.7.3"
    assert "lmms-eval 0.7.3 is installed, which hf_select was not tested with (tested: 0.6.1)" in caplog.text
    harness.harness.cache_clear()


def test_a_torchvision_that_does_not_fit_is_one_sentence(monkeypatch):
    import importlib
    import importlib.util

    real = importlib.import_module

    def broken(name, *rest):
        if name == "torchvision":
            raise RuntimeError("operator torchvision::nms does not exist")
        return real(name, *rest)

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(importlib, "import_module", broken)
    harness.harness.cache_clear()
    with pytest.raises(HFSelectError, match=r"torchvision doesn't fit torch \(operator torchvision::nms"):
        harness.harness()
    harness.harness.cache_clear()


def test_the_lock_patch_that_new_filelocks_break_is_switched_off():
    """A newer lmms-eval that moves it must be looked at anew."""
    import lmms_eval.evaluator

    harness.harness()
    assert lmms_eval.evaluator._enable_reentrant_filelocks._patched is True
