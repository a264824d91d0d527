"""The loopback Hub through the real clients: it must behave as what it stands for."""

import json
import os
import subprocess
import sys
from pathlib import Path

import datasets
import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, hf_hub_download, snapshot_download
from huggingface_hub.errors import EntryNotFoundError, GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

from hf_select.errors import HFSelectError, UsageError
from hf_select.pool.read import read_pool


@pytest.fixture
def api(hub):
    return HfApi()


def add(path, data):
    return CommitOperationAdd(path, data)


def rows(n):
    return datasets.Dataset.from_dict({"id": [str(i) for i in range(n)], "x": list(range(n))})


def test_one_commit_whatever_the_number_of_files(hub, api):
    api.create_repo("me/data", repo_type="dataset", private=True)

    def operations():
        return [add(f"data/{i}.parquet", b"%d" % i * 100) for i in range(60)] + [add("README.md", b"hello")]

    done = api.create_commit("me/data", operations(), commit_message="all of it", repo_type="dataset")
    assert hub.commits("me/data") == ["all of it"]
    assert hub.files("me/data")["data/7.parquet"] == b"7" * 100
    assert done.oid == hub.repos["datasets", "me/data"].branches["main"]
    assert hub.count("PUT", "/lfs/") == 60
    again = api.create_commit("me/data", operations(), commit_message="again", repo_type="dataset")
    assert again.oid == done.oid and hub.commits("me/data") == ["all of it"]


def test_files_come_back_and_deleted_ones_do_not(hub, api, tmp_path):
    hub.repo("me/data", files={"a.txt": b"text", "big/b.parquet": b"blob" * 1000})
    assert Path(hf_hub_download("me/data", "big/b.parquet", repo_type="dataset")).read_bytes() == b"blob" * 1000
    folder = snapshot_download("me/data", repo_type="dataset", local_dir=tmp_path / "all")
    assert Path(folder, "a.txt").read_text() == "text"
    api.create_commit("me/data", [CommitOperationDelete("a.txt")], commit_message="x", repo_type="dataset")
    assert not api.file_exists("me/data", "a.txt", repo_type="dataset")
    with pytest.raises(EntryNotFoundError):
        hf_hub_download("me/data", "none.txt", repo_type="dataset")


def test_a_pushed_dataset_is_loaded_back_and_streamed(hub):
    rows(30).push_to_hub("me/data", num_shards=3)
    assert datasets.load_dataset("me/data", split="train")["x"] == list(range(30))
    streamed = datasets.load_dataset("me/data", split="train", streaming=True)
    assert [row["x"] for row in streamed] == list(range(30))


def test_a_stale_parent_is_refused(hub, api):
    hub.repo("me/data")
    head = api.repo_info("me/data", repo_type="dataset").sha
    api.create_commit("me/data", [add("a", b"1")], commit_message="a", repo_type="dataset", parent_commit=head)
    with pytest.raises(HfHubHTTPError) as caught:
        api.create_commit("me/data", [add("b", b"1")], commit_message="b", repo_type="dataset", parent_commit=head)
    assert caught.value.response.status_code == 412


def test_branches_and_pull_requests_leave_main_alone(hub, api):
    hub.repo("me/data")
    api.create_branch("me/data", branch="next", repo_type="dataset")
    api.create_commit("me/data", [add("a", b"1")], commit_message="a", repo_type="dataset", revision="next")
    done = api.create_commit("me/data", [add("b", b"1")], commit_message="b", repo_type="dataset", create_pr=True)
    assert done.pr_url.endswith("/discussions/1")
    assert hub.commits("me/data") == []
    assert "a" in hub.files("me/data", revision="next")


def test_private_gated_and_missing_repositories(hub, api, monkeypatch):
    hub.repo("me/secret", private=True, files={"a": b"1"})
    hub.repo("other/gated", gated=True, files={"a": b"1"})
    assert api.repo_info("me/secret", repo_type="dataset").private
    with pytest.raises(GatedRepoError):
        hf_hub_download("other/gated", "a", repo_type="dataset")
    with pytest.raises(RepositoryNotFoundError):
        api.repo_info("me/none", repo_type="dataset")
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(RepositoryNotFoundError):
        api.repo_info("me/secret", repo_type="dataset")


@pytest.mark.parametrize(
    ("fault", "status"),
    [({"status": 401}, 401), ({"status": 403}, 403), ({"status": 409}, 409), ({"status": 503}, 503)],
)
def test_a_fault_on_the_commit_is_raised_and_the_next_try_sends_nothing_again(hub, api, fault, status):
    hub.repo("me/data")
    hub.fail("POST", "/commit/", **fault)
    for _ in range(2):
        try:
            api.create_commit("me/data", [add("a.parquet", b"1")], commit_message="a", repo_type="dataset")
        except HfHubHTTPError as error:
            assert error.response.status_code == status
    assert hub.commits("me/data") == ["a"]
    assert hub.count("PUT", "/lfs/") == 1


def test_a_lost_reply_is_an_error_although_the_commit_is_there(hub, api):
    hub.repo("me/data")
    hub.fail("POST", "/commit/", kind="lost")
    with pytest.raises(Exception, match=r".") as caught:
        api.create_commit("me/data", [add("a", b"1")], commit_message="a", repo_type="dataset")
    assert not isinstance(caught.value, HfHubHTTPError)
    assert hub.commits("me/data") == ["a"]


def test_a_read_only_token_and_a_foreign_namespace_are_refused(hub, monkeypatch):
    reader = hub.user("me", role="read")
    with pytest.raises(HfHubHTTPError, match="403"):
        HfApi().create_repo("other/data", repo_type="dataset")
    monkeypatch.setenv("HF_TOKEN", reader.token)
    with pytest.raises(HfHubHTTPError, match="403"):
        HfApi().create_repo("me/data", repo_type="dataset")


def test_a_cut_download_is_noticed(hub):
    hub.repo("me/data", files={"a.parquet": b"blob" * 1000})
    hub.fail("GET", "/blob/", kind="cut", times=9)
    with pytest.raises(Exception, match=r".*"):
        hf_hub_download("me/data", "a.parquet", repo_type="dataset")


def pool_files(*answers):
    row = {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": ""}], "task": "t"}
    lines = [
        {**row, "id": str(i), "conversations": [row["conversations"][0], {"from": "gpt", "value": a}]}
        for i, a in enumerate(answers)
    ]
    return {"train.jsonl": "\n".join(map(json.dumps, lines)).encode()}


def test_pools_are_read_at_a_revision(hub):
    repo = hub.repo("me/pool", files=pool_files("one"))
    first = repo.branches["main"]
    HfApi().create_commit(
        "me/pool",
        [add("train.jsonl", pool_files("two", "three")["train.jsonl"])],
        commit_message="more",
        repo_type="dataset",
    )
    assert len(read_pool("me/pool")) == 2
    assert len(read_pool(f"me/pool@{first}")) == 1
    assert read_pool("me/pool", revision=first)["conversations"][0][1]["value"] == "one"


def test_a_pool_that_can_not_be_read_is_one_sentence(hub, monkeypatch):
    hub.repo("me/secret", private=True, files=pool_files("one"))
    monkeypatch.delenv("HF_TOKEN")
    for name in ("me/secret", "me/none"):
        with pytest.raises((UsageError, HFSelectError)) as caught:
            read_pool(name)
        assert "\n" not in str(caught.value) and name in str(caught.value)


def test_models_come_from_it_at_a_commit(hub, tmp_path):
    import tiny

    from hf_select.scoring.weights import weights_identity

    folder = tiny.llava(tmp_path / "model")
    files = {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}
    repo = hub.repo("me/vlm", "models", files=files)
    identity = weights_identity("me/vlm", None)
    assert repo.branches["main"] in json.dumps(identity)
    code = (
        "import sys\nfrom hf_select.scoring.model import load_vlm\n"
        "model, processor = load_vlm('me/vlm')\nprint(type(model).__name__)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | hub.env(tmp_path / "h", hub.me), capture_output=True, text=True
    )
    assert done.stdout.strip() == "LlavaForConditionalGeneration", done.stderr
