"""A pool's held-out rows as lmms-eval tasks: documents, prompts, metrics, and lmms-eval's own reading of the file."""

from __future__ import annotations

import json

import drawn
import pytest

pytest.importorskip("lmms_eval")

from hf_select.errors import UnknownName, UsageError
from hf_select.evaluation import adapter, harness, held_out
from hf_select.evaluation.metrics import METRICS
from hf_select.evaluation.suite import load_suite
from hf_select.pool.read import read_pool

PAIRS = [
    (["Paris"], "paris"),
    (["Paris"], "  Paris  "),
    (["Paris"], ""),
    (["1/8/93"], "1/8/98"),
    (["abcd"], "abxy"),
    (["10%"], "10 %"),
    (["100"], "105"),
    (["100"], "105.2"),
    (["42%"], "0.42"),
    (["Yes", "No"], "no"),
    (["1000"], "1,000"),
]


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    return read_pool(drawn.pool(tmp_path_factory.mktemp("pool"), rows=12))


@pytest.fixture
def suite(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(
        "split: train\ntasks: [{task: colour, metric: contains}, {task: count, metric: relaxed_accuracy}]\n"
    )
    return load_suite(file)


def test_documents_keep_pictures_questions_answers_and_metrics(pool):
    made = held_out.held_out_documents(pool, metrics={"count": "relaxed_accuracy"})
    assert len(made) == 12
    first = made[0]
    assert (first["task"], first["metric"], first["answers"]) == ("count", "relaxed_accuracy", ["0"])
    assert made[1]["metric"] == "exact_match"
    assert [image.size for image in first["images"]] == [(10, 10)]
    assert held_out.doc_to_text(first) == "How many circles are there?"
    messages = held_out.doc_to_messages(first, {"pre_prompt": "Q: ", "post_prompt": " Briefly."})
    assert [part["type"] for part in messages[0]["content"]] == ["image", "text"]
    assert messages[0]["content"][1]["text"].strip() == "Q: How many circles are there? Briefly."
    assert len(set(made["row_key"])) == 12


def test_the_last_question_is_asked_and_earlier_turns_are_shown():
    from datasets import Dataset

    turns = [("human", "First?"), ("gpt", "One."), ("human", "Second?"), ("gpt", "Two."), ("human", "unanswered")]
    rows = Dataset.from_list([{"conversations": [{"from": who, "value": text} for who, text in turns]}])
    doc = held_out.held_out_documents(rows)[0]
    assert doc["answers"] == ["Two."]
    assert [(m["role"], m["content"][0]["text"]) for m in held_out.doc_to_messages(doc)] == [
        ("user", "First?"),
        ("assistant", "One."),
        ("user", "Second?"),
    ]
    assert held_out.doc_to_text(doc) == "First?\nOne.\nSecond?"


def test_what_cannot_be_asked_is_refused_not_left_out(tmp_path, pool):
    from datasets import Dataset

    with pytest.raises(UnknownName, match="Did you mean 'anls'"):
        held_out.held_out_documents(pool, metrics={"count": "anl"})
    missing = [
        {"image": "gone.png", "conversations": [{"from": "human", "value": "<image>a"}, {"from": "gpt", "value": "b"}]}
    ]
    with pytest.raises(UsageError, match=r"can't be asked \(image_missing\)"):
        held_out.held_out_documents(Dataset.from_list(missing))


@pytest.mark.parametrize("name", METRICS)
def test_lmms_evals_functions_and_ours_agree(name):
    for references, prediction in PAIRS:
        assert held_out.scored(name, prediction, references) == pytest.approx(METRICS[name](prediction, references))


def test_one_task_for_each_task_of_the_suite(pool, suite, tmp_path):
    made = held_out.held_out_tasks(suite, pool, limit=3)
    assert {name: len(task.test_docs()) for name, task in made.items()} == {"colour": 3, "count": 3}

    class Says(adapter.HFSelectChat):
        def __init__(self):
            super(adapter.Adapter, self).__init__()
            self._owned = False

        def generate_until(self, requests):
            docs = [self.task_dict[r.args[4]][r.args[5]][r.args[3]] for r in requests]
            return [f"It is {doc['answers'][0]}" if doc["task"] == "colour" else doc["answers"][0] for doc in docs]

    results = harness.run_tasks(Says(), list(made.values()), tmp_path)
    assert {name: harness.metric_value(results, name, held_out.METRIC) for name in made} == {"colour": 1, "count": 1}
    with pytest.raises(UsageError, match="have no task 'color' of suite demo"):
        held_out.held_out_tasks(load_suite("demo"), pool)


def test_lmms_eval_reads_the_file_with_rows_of_ones_own(pool, tmp_path):
    """As `lmms-eval --include_path` does: a file that includes ours and names a Parquet file."""
    from lmms_eval.api.task import ConfigurableMessagesTask

    rows = pool.add_column("metric", ["contains"] * len(pool))
    rows.to_parquet(tmp_path / "rows.parquet")
    file = tmp_path / "mine.yaml"
    ours = json.dumps(str(held_out.folder() / "vit_heldout.yaml"))
    data = "dataset_path: parquet\ndataset_kwargs: {data_files: {heldout: rows.parquet}}\n"
    file.write_text(f"include: {ours}\ntask: mine\n{data}")
    harness.harness()
    task = ConfigurableMessagesTask(config=held_out.task_config_file(file))
    doc = task.test_docs()[1]
    assert doc["metric"] == "contains" and len(task.test_docs()) == 12
    assert task.process_results(doc, [f"It is {doc['answers'][0]}"]) == {"score": 1.0}
    assert [part["type"] for part in task.doc_to_messages(doc)[0]["content"]] == ["image", "text"]
