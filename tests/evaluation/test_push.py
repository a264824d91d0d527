"""Results in a model repository: read back by the Hub's own classes, and nothing else touched."""

import pytest
import yaml
from eval_reports import report
from hub import LoopbackHub
from huggingface_hub import ModelCard, parse_eval_result_entries

from hf_select.errors import HFSelectError, UsageError
from hf_select.evaluation.push import push_results
from hf_select.evaluation.report import EvalReport

CARD = (
    "---\nlicense: mit\nmodel-index:\n- name: vlm\n  results:\n  - task: {type: image-text-to-text}\n"
    "    dataset: {type: lmms-lab-encoder/DocVQA, name: DocVQA, config: DocVQA, split: validation}\n"
    "    metrics: [{type: anls, value: 0.1}]\n  - task: {type: t}\n    dataset: {type: other/set, name: Other}\n"
    "    metrics: [{type: acc, value: 0.2}]\n---\n# My model\n\nWords.\n"
)


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with LoopbackHub() as running:
        running.here(monkeypatch, tmp_path / "home", running.me)
        yield running


def measured(**scores):
    made = report(scores or {"docvqa_val": [1.0, 0.5]})
    return EvalReport(**{**made.__dict__, "versions": {"lmms-eval": "0.7.3", "hf_select": "0.1"}})


def test_results_are_read_by_the_hubs_own_classes(hub):
    hub.repo("me/vlm", "models", files={"README.md": CARD.encode(), "config.json": b"{}"})
    done = push_results(measured(), "me/vlm", sleep=lambda seconds: None)
    files = hub.files("me/vlm", "models")
    assert done.changed and len(hub.commits("me/vlm", "models")) == 1 and files["config.json"] == b"{}"
    entries = parse_eval_result_entries(yaml.safe_load(files[".eval_results/documents.yaml"]))
    assert (entries[0].dataset_id, entries[0].task_id, entries[0].value) == (
        "lmms-lab-encoder/DocVQA",
        "docvqa_val",
        0.75,
    )
    card = ModelCard(files["README.md"].decode())
    values = {(one.dataset_name, one.metric_type): one.metric_value for one in card.data.eval_results}
    assert values == {("Other", "acc"): 0.2, ("DocVQA", "anls"): 0.75}
    assert card.data.license == "mit" and "# My model\n\nWords." in card.text


def test_a_repository_without_a_card_gets_one_and_the_same_push_again_is_nothing(hub):
    first = push_results(measured(), "me/new", sleep=lambda seconds: None)
    again = push_results(measured(), "me/new", sleep=lambda seconds: None)
    assert again.commit == first.commit and not again.changed
    assert b"model-index" in hub.files("me/new", "models")["README.md"]


def test_nothing_is_pushed_without_a_result(hub):
    with pytest.raises(UsageError, match="nothing to push"):
        push_results(measured(unknown_task=[1.0]), "me/vlm")
    assert hub.log == []


def test_a_card_that_can_not_be_read_is_told(hub):
    hub.repo("me/vlm", "models", files={"README.md": b"---\nmodel-index: 3\n---\n"})
    with pytest.raises(HFSelectError, match="mend it first"):
        push_results(measured(), "me/vlm", sleep=lambda seconds: None)
