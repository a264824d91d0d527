"""Suites: what ships is complete and true to the installed lmms-eval, and a broken file is one sentence."""

from __future__ import annotations

import pytest

from hf_select.errors import UnknownName, UsageError
from hf_select.evaluation.suite import Benchmark, HeldOut, load_benchmarks, load_suite, suite_names

ISSUE = {
    "documents": {"DocVQA", "ChartQA", "InfographicVQA", "TextVQA", "OCRBench"},
    "general": {
        "VQAv2", "GQA", "VizWiz", "ScienceQA-IMG", "MME", "MMBench-en", "MMBench-cn", "SEED-Bench", "POPE",
        "RealWorldQA", "AI2D",
    },
    "reasoning": {"MMMU", "MathVista", "MMStar", "HallusionBench"},
    "judge": {"LLaVA-Bench (wild)", "LLaVA-Bench (COCO)", "MM-Vet"},
    "mllm-selector": {"DocVQA", "ChartQA"},
    "presel": {
        "VQAv2", "ScienceQA-IMG", "TextVQA", "MME", "MMBench-en", "MMBench-cn", "SEED-Bench", "MM-Vet", "POPE",
    },
}  # fmt: skip


@pytest.mark.parametrize("name", ISSUE)
def test_a_suite_has_its_benchmarks(name):
    assert {task.benchmark for task in load_suite(name).tasks} == ISSUE[name]


def test_every_suite_loads_and_every_benchmark_is_in_one():
    suites = [load_suite(name) for name in suite_names()]
    used = {task.task for suite in suites for task in suite.tasks}
    assert used >= set(load_benchmarks())
    assert all(suite.description and "\n" not in suite.description for suite in suites)
    quick = load_suite("quick")
    assert all(task.dataset == "lmms-lab-encoder/LMMs-Eval-Lite" for task in quick.tasks)


def test_eva_01_only_splits_with_answers_are_measured():
    """`docvqa` is a group whose test half writes a submission and has no number."""
    tasks = [task for task in load_benchmarks().values() if task.benchmark == "DocVQA"]
    assert {task.split for task in tasks} == {"validation", "lite"}
    assert not any(task.task.endswith("_test") for task in load_benchmarks().values())
    for unscored in ("docvqa", "docvqa_test"):
        with pytest.raises(UnknownName, match="docvqa_val"):
            load_suite("documents").only([unscored])


def test_the_demo_is_a_suite_of_held_out_tasks():
    suite = load_suite("demo")
    assert suite.held_out and suite.split == "heldout"
    assert suite.tasks[4] == HeldOut(task="form", metric="anls")


def test_what_show_prints():
    text = load_suite("presel").render()
    assert "lmms-lab-encoder/ScienceQA (ScienceQA-IMG)" in text
    assert "mean of ratios" in text and "ratio of means" in text
    assert "held-out rows of a pool, split heldout:" in load_suite("demo").render()


def test_parts_of_a_suite():
    suite = load_suite("reasoning")
    assert [task.task for task in suite.only(["mmstar", "mmmu_val"]).tasks] == ["mmmu_val", "mmstar"]
    assert [task.task for task in suite.without_judge().tasks] == ["mmmu_val", "mmstar"]
    with pytest.raises(UnknownName, match="mmstr"):
        suite.only(["mmstr"])
    with pytest.raises(UsageError, match="every task of suite judge needs a judge"):
        load_suite("judge").without_judge()


def test_a_file_of_ones_own(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("description: Two.\ntasks: [chartqa, {task: docvqa_val, revision: abc}]\n")
    suite = load_suite(file)
    assert suite.name == "mine"
    assert [task.revision for task in suite.tasks] == [None, "abc"]
    file.write_text(
        "tasks: [{task: new, benchmark: New, yaml: a/b.yaml, dataset: me/set, split: test, metric: exact_match,"
        " columns: [image]}]"
    )
    assert load_suite(str(file)).tasks[0] == Benchmark(
        task="new", benchmark="New", yaml="a/b.yaml", dataset="me/set", split="test", metric="exact_match",
        columns=("image",),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("tasks: [docvq_val]", "Did you mean 'docvqa_val'"),
        ("tasks: [{task: chartqa, metrik: anls}]", "metrik"),
        ("tasks: [{task: new}]", "new in mine.yaml lacks a field"),
        ("tasks: [{task: chartqa, limit: odd}]", "limit of chartqa 'odd'"),
        ("tasks: []", "no list of tasks"),
        ("tasks: [chartqa]\nlimits: 3", "unknown key 'limits'"),
        ("tasks: [chartqa, chartqa]", "names a task twice"),
        ("tasks: [chartqa, {task: color, metric: anls}]", "mixes benchmarks with held-out tasks"),
        ("tasks: [[]]", "a task without a name"),
        ("- a", "holds no mapping"),
        ("a: [", "can't be read as YAML"),
    ],
)
def test_a_broken_file_is_one_sentence(tmp_path, text, sentence):
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(UsageError, match=sentence) as caught:
        load_suite(file)
    assert "\n" not in str(caught.value)


def test_unknown_names():
    with pytest.raises(UnknownName, match="Did you mean 'documents'"):
        load_suite("document")
    with pytest.raises(UsageError, match="can't be read"):
        load_suite("nowhere.yaml")
