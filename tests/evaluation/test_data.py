"""Where documents come from, and what is said when they aren't there."""

from __future__ import annotations

import shutil
from dataclasses import replace

import benchmark_data
import pytest

from hf_select.errors import HFSelectError, UsageError
from hf_select.evaluation.data import check_access, check_judge, documents
from hf_select.evaluation.suite import load_benchmarks, load_suite

KNOWN = load_benchmarks()


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    names = {"lmms-lab-encoder/DocVQA", "lmms-lab-encoder/ChartQA", "lmms-lab-encoder/GQA", "lmms-lab-encoder/MME"}
    return benchmark_data.write(tmp_path_factory.mktemp("data"), names)


def test_a_folder_with_the_hubs_layout(root):
    found = documents(KNOWN["docvqa_val"], data_root=root)
    assert found.rows["answers"][:2] == [["4820"], ["4821"]]
    assert found.rows[0]["image"].size == (56, 56)
    assert (found.source, found.pictures) == ("DocVQA", None)
    assert len(documents(KNOWN["docvqa_val"], data_root=root, limit=3).rows) == 3
    assert len(documents(KNOWN["docvqa_val"], data_root=root, limit=99).rows) == 8


def test_pictures_in_another_configuration(root):
    assert documents(KNOWN["gqa"], data_root=root).pictures["id"][:] == ["p0", "p1"]


def test_short_names_saved_datasets_and_folders_without_a_card(root, tmp_path):
    import datasets

    rows = documents(KNOWN["chartqa"], data_root=root).rows
    datasets.DatasetDict({"test": rows}).save_to_disk(tmp_path / "ChartQA")
    assert documents(KNOWN["chartqa"], data_root=tmp_path).rows["answer"][:] == rows["answer"][:]
    shutil.copytree(root / "lmms-lab-encoder/DocVQA/DocVQA", tmp_path / "DocVQA/DocVQA")
    assert len(documents(KNOWN["docvqa_val"], data_root=tmp_path).rows) == 8


def test_digests_are_of_the_documents_and_not_of_where_they_are(root, tmp_path):
    import datasets

    found = documents(KNOWN["chartqa"], data_root=root)
    first = list(found.digests())
    assert len(set(first)) == 8
    datasets.DatasetDict({"test": found.rows}).save_to_disk(tmp_path / "ChartQA")
    assert list(documents(KNOWN["chartqa"], data_root=tmp_path).digests()) == first
    changed = found.rows.map(lambda row, at: {"answer": "no" if at == 2 else row["answer"]}, with_indices=True)
    second = list(replace(found, rows=changed).digests())
    assert [a == b for a, b in zip(first, second, strict=True)] == [at != 2 for at in range(8)]


@pytest.mark.parametrize(
    ("name", "change", "sentence"),
    [
        ("pope", {}, "pope needs the data set lmms-lab-encoder/POPE, but the data root"),
        ("docvqa_val", {"config": "Other"}, "DocVQA can't be read as the data of docvqa_val"),
        ("chartqa", {"split": "val"}, "chartqa needs the split 'val', but ChartQA has test"),
        ("chartqa", {"columns": ("imge",)}, "chartqa needs the column 'imge', but ChartQA has"),
    ],
)
def test_what_a_folder_lacks_is_one_sentence(root, name, change, sentence):
    with pytest.raises(UsageError, match=sentence) as caught:
        documents(replace(KNOWN[name], **change), data_root=root)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "limit", "sentence"),
    [
        ("mme", 3, "by pairs of documents"),
        ("ocrbench", 10, "the size of the whole set"),
        ("chartqa", 0, "at least 1"),
    ],
)
def test_a_limit_that_spoils_the_metric_is_refused(root, name, limit, sentence):
    with pytest.raises(UsageError, match=sentence):
        documents(KNOWN[name], data_root=root, limit=limit)


def test_eva_09_offline_the_data_set_is_named_before_any_model_is_loaded():
    with pytest.raises(HFSelectError, match=r"chartqa needs the data set lmms-lab-encoder/ChartQA.*offline") as caught:
        documents(KNOWN["chartqa"])
    assert "\n" not in str(caught.value)
    check_access(KNOWN["chartqa"])  # nothing can be asked while offline


def test_a_snapshot_in_the_hubs_cache_is_found_offline(root, tmp_path, monkeypatch):
    import huggingface_hub

    asked = {}

    def snapshot(name, **kwargs):
        asked[name] = kwargs["revision"]
        return str(root / name)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    found = documents(replace(KNOWN["chartqa"], revision="abc"))
    assert (len(found.rows), found.source) == (8, "lmms-lab-encoder/ChartQA@abc")
    assert asked == {"lmms-lab-encoder/ChartQA": "abc"}


def test_a_judge_is_asked_for_before_anything_else(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("AZURE_API_KEY", raising=False)
    with pytest.raises(UsageError, match=r"^mathvista_testmini_format, hallusion_bench_image need a language model"):
        check_judge(load_suite("reasoning").tasks)
    with pytest.raises(UsageError, match=r"^mmvet needs a language model as judge: set OPENAI_API_KEY"):
        check_judge(load_suite("presel").tasks)
    check_judge(load_suite("general").tasks)
    monkeypatch.setenv("OPENAI_API_KEY", "set")
    check_judge(load_suite("judge").tasks)


@pytest.fixture
def on_the_hub(root, hub):
    hub.repo("lmms-lab-encoder/ChartQA", files=root / "lmms-lab-encoder/ChartQA")
    return hub


def test_the_hubs_newest_commit_is_named_and_an_older_one_can_be_pinned(root, on_the_hub, tmp_path):
    first = on_the_hub.head("lmms-lab-encoder/ChartQA")
    found = documents(KNOWN["chartqa"])
    assert (len(found.rows), found.source) == (8, f"lmms-lab-encoder/ChartQA@{first}")
    fewer = tmp_path / "fewer.parquet"
    found.rows.select(range(3)).to_parquet(fewer)
    on_the_hub.push("lmms-lab-encoder/ChartQA", {"data/test-00000-of-00001.parquet": fewer.read_bytes()})
    assert len(documents(KNOWN["chartqa"]).rows) == 3
    assert list(documents(replace(KNOWN["chartqa"], revision=first)).digests()) == list(found.digests())


def test_offline_a_pinned_commit_is_never_the_newest_one_in_the_cache(root, on_the_hub, tmp_path, monkeypatch):
    import datasets
    import huggingface_hub

    first = on_the_hub.head("lmms-lab-encoder/ChartQA")
    found = documents(replace(KNOWN["chartqa"], revision=first))
    fewer = tmp_path / "fewer.parquet"
    found.rows.select(range(3)).to_parquet(fewer)
    on_the_hub.push("lmms-lab-encoder/ChartQA", {"data/test-00000-of-00001.parquet": fewer.read_bytes()})
    assert len(documents(KNOWN["chartqa"]).rows) == 3
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    assert list(documents(replace(KNOWN["chartqa"], revision=first)).digests()) == list(found.digests())
    assert len(documents(KNOWN["chartqa"]).rows) == 3
    with pytest.raises(HFSelectError, match="is not on this machine while HF_HUB_OFFLINE"):
        documents(replace(KNOWN["chartqa"], revision="a" * 40))


def test_a_missing_or_gated_set_and_a_missing_revision_are_one_sentence(on_the_hub, monkeypatch):
    on_the_hub.repo("lmms-lab-encoder/POPE", gated=True)
    on_the_hub.sign_in(monkeypatch, None)
    for benchmark in (KNOWN["pope"], KNOWN["mme"], replace(KNOWN["chartqa"], revision="gone")):
        with pytest.raises(
            HFSelectError, match=f"{benchmark.task} needs the data set .* the Hub doesn't give"
        ) as caught:
            check_access(benchmark)
        assert "run hf auth login" in str(caught.value) and "\n" not in str(caught.value)
