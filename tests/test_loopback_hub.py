"""The loopback Hub through the real clients: it must behave as what it stands for."""

import base64
import json
import subprocess
import sys
from pathlib import Path

import datasets
import pytest
from hub import LoopbackHub
from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationCopy,
    CommitOperationDelete,
    DatasetCard,
    HfApi,
    get_session,
    hf_hub_download,
    metadata_update,
    snapshot_download,
)
from huggingface_hub.errors import (
    DisabledRepoError,
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

OF_DATA = {"repo_type": "dataset"}
BAD_CARD = base64.b64encode(b"---\ntags: vit\n---\n").decode()


@pytest.fixture
def api(hub):
    return HfApi()


def commit(api, *files, repo="me/data", **options):
    operations = [file if not isinstance(file, tuple) else CommitOperationAdd(*file) for file in files]
    return api.create_commit(repo, operations, commit_message="files", **OF_DATA, **options)


def rows(n):
    return datasets.Dataset.from_dict({"id": [str(i) for i in range(n)], "x": list(range(n))})


def test_one_commit_whatever_the_number_of_files(hub, api):
    api.create_repo("me/data", private=True, **OF_DATA)
    files = [(f"data/{n}.parquet", b"%d" % n * 100) for n in range(60)]
    done = commit(api, *files, ("notes.txt", b"hello"))
    assert hub.commits("me/data") == ["files"] and done.oid == hub.head("me/data")
    assert hub.files("me/data")["data/7.parquet"] == b"7" * 100
    assert len(hub.sent()) == 60 and hub.stored("me/data") == set(hub.sent())
    assert commit(api, *files, ("notes.txt", b"hello")).oid == done.oid
    assert hub.commits("me/data") == ["files"] and len(hub.sent()) == 60


def test_files_come_back_and_deleted_ones_do_not(hub, api, tmp_path):
    hub.repo("me/data", files={"a.txt": b"text", "big/b.parquet": b"blob" * 1000})
    assert Path(hf_hub_download("me/data", "big/b.parquet", **OF_DATA)).read_bytes() == b"blob" * 1000
    folder = snapshot_download("me/data", local_dir=tmp_path / "all", **OF_DATA)
    assert Path(folder, "a.txt").read_text() == "text"
    commit(api, CommitOperationDelete("a.txt"), CommitOperationDelete("big/", is_folder=True))
    assert set(hub.files("me/data")) == {".gitattributes"}
    with pytest.raises(EntryNotFoundError):
        hf_hub_download("me/data", "a.txt", **OF_DATA)
    assert not [one for one in hub.log if one.files_port and one.token_sent]
    assert all(one.user == "me" for one in hub.log if not one.files_port)


def test_a_dataset_is_pushed_loaded_streamed_and_described(hub):
    rows(30).push_to_hub("me/data", num_shards=3)
    assert len(hub.commits("me/data")) == 1 and len(hub.sent()) == 3
    assert datasets.load_dataset("me/data", split="train")["x"] == list(range(30))
    streamed = datasets.load_dataset("me/data", split="train", streaming=True)
    assert [row["x"] for row in streamed] == list(range(30))
    assert hub.count("GET", "^/blob/", 206) > 0
    assert DatasetCard.load("me/data").data.dataset_info["splits"][0]["num_examples"] == 30
    metadata_update("me/data", {"license": "mit"}, **OF_DATA)
    assert HfApi().dataset_info("me/data").card_data.license == "mit"
    hub.log.clear()
    rows(30).push_to_hub("me/data", num_shards=3)
    assert hub.count("POST", "/commit/") == 0 and hub.sent() == []


def test_a_large_file_in_parts(hub, api):
    hub.repo("me/data")
    hub.part_size = 1000
    commit(api, ("a.parquet", bytes(range(256)) * 10), ("b.parquet", b"small"))
    assert hub.files("me/data")["a.parquet"] == bytes(range(256)) * 10
    assert hub.count("PUT", r"^/lfs/.*/\d+$") == 3 and hub.count("POST", "^/lfs-parts/") == 1


def test_trees_come_in_pages_and_with_last_commits(hub, api):
    hub.repo("me/data", files={f"f/{n}.txt": b"%d" % n for n in range(5)} | {"top.parquet": b"x"})
    after = hub.push("me/data", {"f/3.txt": b"new"}, title="third")
    hub.page = 2
    tree = {entry.path: entry for entry in api.list_repo_tree("me/data", recursive=True, expand=True, **OF_DATA)}
    assert sorted(tree) == [".gitattributes", "f", *(f"f/{n}.txt" for n in range(5)), "top.parquet"]
    assert tree["f/3.txt"].last_commit.oid == after and tree["f/2.txt"].last_commit.title == "initial commit"
    assert [entry.path for entry in api.list_repo_tree("me/data", **OF_DATA)] == ["f", ".gitattributes", "top.parquet"]
    found = api.get_paths_info("me/data", ["f", "top.parquet", "none"], **OF_DATA)
    assert [entry.path for entry in found] == ["f", "top.parquet"] and found[1].lfs.size == 1
    assert [one.title for one in api.list_repo_commits("me/data", **OF_DATA)] == ["third", "initial commit"]
    info = api.repo_info("me/data", files_metadata=True, **OF_DATA)
    assert {file.rfilename: file.size for file in info.siblings}["top.parquet"] == 1
    with pytest.raises(EntryNotFoundError):
        list(api.list_repo_tree("me/data", "nowhere", **OF_DATA))


def test_branches_tags_and_pull_requests_leave_main_alone(hub, api):
    hub.repo("me/data")
    main = hub.head("me/data")
    api.create_branch("me/data", branch="a/b", **OF_DATA)
    commit(api, ("a", b"1"), revision="a/b")
    api.create_tag("me/data", tag="v1", revision="a/b", **OF_DATA)
    done = commit(api, ("b", b"1"), create_pr=True)
    assert done.pr_url.endswith("/datasets/me/data/discussions/1") and done.pr_num == 1
    commit(api, ("c", b"1"), revision="refs/pr/1")
    refs = api.list_repo_refs("me/data", include_pull_requests=True, **OF_DATA)
    assert {ref.name: ref.target_commit == main for ref in refs.branches} == {"main": True, "a/b": False}
    assert [ref.ref for ref in refs.tags + refs.pull_requests] == ["refs/tags/v1", "refs/pr/1"]
    assert {"b", "c"} < set(hub.files("me/data", revision="refs/pr/1")) and "a" in hub.files("me/data", revision="v1")
    with pytest.raises(HfHubHTTPError, match="409"):
        api.create_branch("me/data", branch="a/b", **OF_DATA)
    api.create_branch("me/data", branch="a/b", exist_ok=True, **OF_DATA)
    api.delete_branch("me/data", branch="a/b", **OF_DATA)
    api.super_squash_history("me/data", **OF_DATA)
    assert hub.commits("me/data") == [] and hub.head("me/data") != main
    with pytest.raises(RevisionNotFoundError):
        commit(api, ("d", b"1"), revision="a/b")


def test_one_commit_moves_large_files_from_a_branch_without_sending_them(hub, api):
    hub.repo("me/data", files={"old.parquet": b"old"})
    api.create_branch("me/data", branch="next", **OF_DATA)
    commit(api, ("new.parquet", b"new"), revision="next")
    hub.log.clear()
    copies = [CommitOperationCopy("new.parquet", "new.parquet", src_revision="next")]
    commit(api, *copies, CommitOperationDelete("old.parquet"))
    assert hub.files("me/data") == {".gitattributes": b"*.parquet filter=lfs\n", "new.parquet": b"new"}
    assert hub.sent() == []


def test_a_stale_parent_is_refused(hub, api):
    hub.repo("me/data")
    head = api.repo_info("me/data", **OF_DATA).sha
    commit(api, ("a", b"1"), parent_commit=head)
    with pytest.raises(HfHubHTTPError, match="A commit has happened since") as caught:
        commit(api, ("b", b"1"), parent_commit=head)
    assert caught.value.response.status_code == 412
    hub.fail("POST", "/commit/", kind="meanwhile", run=lambda: hub.push("me/data", {"c": b"1"}))
    with pytest.raises(HfHubHTTPError, match="412"):
        rows(2).push_to_hub("me/data")


def test_who_may_see_a_repository(hub, api, monkeypatch):
    hub.repo("me/secret", private=True, files={"a": b"1"})
    hub.repo("org/gated", gated=True, files={"a": b"1"})
    hub.repo("me/gone", disabled=True)
    assert api.repo_info("me/secret", **OF_DATA).private
    assert api.repo_info("org/gated", **OF_DATA).gated == "auto"
    with pytest.raises(GatedRepoError):
        hf_hub_download("org/gated", "a", **OF_DATA)
    with pytest.raises(DisabledRepoError):
        api.repo_info("me/gone", **OF_DATA)
    hub.repos["datasets", "org/gated"].granted.add("me")
    api.auth_check("org/gated", **OF_DATA)
    hub.sign_in(monkeypatch, hub.user("other"))
    assert [one.id for one in api.list_datasets()] == ["me/gone", "org/gated"]
    for name in ("me/none", "me/secret"):
        with pytest.raises(RepositoryNotFoundError, match="^404"):
            api.repo_info(name, **OF_DATA)
    hub.sign_in(monkeypatch, None)
    with pytest.raises(RepositoryNotFoundError, match="^401"):
        api.repo_info("me/secret", **OF_DATA)
    with pytest.raises(GatedRepoError, match="^401"):
        hf_hub_download("org/gated", "a", **OF_DATA)
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(HfHubHTTPError, match="Invalid credentials") as caught:
        api.repo_info("org/gated", **OF_DATA)
    assert not isinstance(caught.value, RepositoryNotFoundError)


def test_what_a_token_may_do(hub, api, monkeypatch):
    hub.repo("other/data")
    hub.repo("lab/data")
    assert api.whoami()["orgs"][0]["roleInOrg"] == "write"
    api.create_repo("lab/new", **OF_DATA)
    with pytest.raises(HfHubHTTPError, match='under the namespace "other"'):
        api.create_repo("other/new", **OF_DATA)
    with pytest.raises(HfHubHTTPError, match="no write access to other/data"):
        commit(api, ("a", b"1"), repo="other/data")
    assert commit(api, ("a.parquet", b"1"), repo="other/data", create_pr=True).pr_num == 1
    hub.sign_in(monkeypatch, hub.user("me", role="read"))
    assert api.whoami()["auth"]["accessToken"]["role"] == "read"
    with pytest.raises(HfHubHTTPError, match="this token has the role read"):
        api.create_repo("me/new", **OF_DATA)
    hub.sign_in(monkeypatch, hub.user("me", role="fineGrained", orgs={"lab": "admin"}, scopes=("lab",)))
    commit(api, ("a", b"1"), repo="lab/data")
    with pytest.raises(HfHubHTTPError, match="403"):
        api.create_repo("me/new", **OF_DATA)
    hub.sign_in(monkeypatch, None)
    with pytest.raises(HfHubHTTPError, match="401"):
        api.create_repo("me/new", **OF_DATA)


def test_repositories_are_made_moved_hidden_and_removed(hub, api):
    assert api.create_repo("me/data", **OF_DATA).endswith("/datasets/me/data")
    with pytest.raises(HfHubHTTPError, match="409"):
        api.create_repo("me/data", **OF_DATA)
    assert api.create_repo("me/data", exist_ok=True, **OF_DATA).repo_id == "me/data"
    commit(api, ("a.txt", b"1"))
    api.move_repo("me/data", "lab/data", **OF_DATA)
    assert api.repo_info("me/data", **OF_DATA).id == "lab/data"
    assert Path(hf_hub_download("me/data", "a.txt", **OF_DATA)).read_bytes() == b"1"
    api.update_repo_settings("lab/data", visibility="private", gated="manual", **OF_DATA)
    assert hub.repos["datasets", "lab/data"].private and hub.repos["datasets", "lab/data"].gated == "manual"
    api.delete_repo("lab/data", **OF_DATA)
    assert not api.repo_exists("lab/data", **OF_DATA)


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ("license: none-of-these", "license.* must be one of"),
        ("tags: vit", "tags.* must be an array"),
        ("size_categories: [about 3]", "size_categories.* must be one of"),
        ("configs:\n- {data_files: a}", "config_name"),
    ],
)
def test_a_card_is_checked(hub, api, metadata, words):
    hub.repo("me/data")
    card = f"---\n{metadata}\n---\n# Words\n"
    with pytest.raises(ValueError, match=words):
        DatasetCard(card).validate(repo_type="dataset")
    with pytest.raises(ValueError, match=words):
        commit(api, ("README.md", card.encode()))
    assert "Invalid metadata in README.md" in post(hub, "file", path="README.md", content=BAD_CARD).text
    assert hub.commits("me/data") == []


def post(hub, key, **value):
    """Send a commit of one operation without the client's own checks."""
    header = {"key": "header", "value": {"summary": "x"}}
    body = "\n".join(json.dumps(one) for one in (header, {"key": key, "value": value}))
    place, token = f"{hub.url}/api/datasets/me/data/commit/main", {"Authorization": f"Bearer {hub.me.token}"}
    return get_session().post(place, content=body, headers=token)


def test_what_the_client_would_not_send_is_refused_too(hub):
    hub.repo("me/data")
    assert "does not exist" in post(hub, "lfsFile", path="a.parquet", algo="sha256", oid="0" * 64, size=1).text
    assert "Invalid path" in post(hub, "file", path="../a", content="").text
    assert hub.commits("me/data") == []


XET = """
import datasets, huggingface_hub
from pathlib import Path
rows = datasets.Dataset.from_dict({"x": list(range(30))})
rows.push_to_hub("me/data", num_shards=3)
assert datasets.load_dataset("me/data", split="train")["x"] == list(range(30))
print(Path(huggingface_hub.hf_hub_download("lab/plain", "a.parquet", repo_type="dataset")).read_text())
"""


def test_both_ways_of_sending_and_nothing_else_in_a_fresh_process(tmp_path, monkeypatch):
    """Xet, through a folder: pushed and loaded by hf_xet, read back over plain HTTP."""
    pytest.importorskip("hf_xet")
    with LoopbackHub(xet=tmp_path / "xet") as hub:
        hub.repo("lab/plain", files={"a.parquet": b"over HTTP"})
        done = subprocess.run(
            [sys.executable, "-c", XET], env=hub.env(tmp_path / "home", hub.me), capture_output=True, text=True
        )
        assert done.stdout.strip() == "over HTTP", done.stderr
        assert len(hub.commits("me/data")) == 1 and hub.sent() == [] and hub.count("GET", "/xet-write-token/") > 0
        assert hub.count("GET", "^/blob/datasets/me/data/") == 0 < hub.count("GET", "/xet-read-token/")
        hub.here(monkeypatch, tmp_path / "other", hub.me)
        assert datasets.load_dataset("me/data", split="train")["x"] == list(range(30))
        assert hub.count("GET", "^/blob/datasets/me/data/") == 3
        strangers = {one.path for one in hub.log if not one.path.startswith("/")}
        assert strangers == {f"datasets-server.127.0.0.1:{hub.ports[0]}/info"}


WITHOUT = """
from huggingface_hub import CommitOperationAdd, HfApi
try:
    add = CommitOperationAdd("a.parquet", b"1")
    HfApi().create_commit("me/data", [add], commit_message="x", repo_type="dataset")
except ConnectionError as error:
    print(error)
"""


def test_a_hub_without_xet_is_an_error_of_its_own_in_clients_that_have_it(hub, tmp_path):
    pytest.importorskip("hf_xet")
    hub.repo("me/data")
    env = hub.env(tmp_path / "other", hub.me) | {"HF_HUB_DISABLE_XET": "0"}
    done = subprocess.run([sys.executable, "-c", WITHOUT], env=env, capture_output=True, text=True)
    assert "404" in done.stdout and "xet-write-token" in done.stdout, done.stderr
    assert hub.commits("me/data") == []


def test_a_model_comes_from_it_at_the_commit_of_its_identity(hub, tmp_path):
    """In a process of its own: transformers keeps the Hub's address that it saw first."""
    import tiny

    hub.repo("org/vlm", "models", files=tiny.llava(tmp_path / "old"), gated="manual")
    first = hub.head("org/vlm", "models")
    hub.push("org/vlm", tiny.llava(tmp_path / "new", seed=1), "models")
    code = (
        "import sys\n"
        "from hf_select.errors import UsageError\n"
        "from hf_select.scoring.model import load_vlm\n"
        "from hf_select.scoring.weights import weights_identity\n"
        "try:\n"
        "    commit = weights_identity('org/vlm', sys.argv[1])['commit']\n"
        "    old, processor = load_vlm('org/vlm', revision=commit, dtype='float32', device='cpu')\n"
        "except UsageError as error:\n"
        "    print('refused', str(error).count(chr(10)), 'org/vlm' in str(error))\n"
        "    sys.exit()\n"
        "new, _ = load_vlm('org/vlm', dtype='float32', device='cpu')\n"
        "weight = 'model.language_model.embed_tokens.weight'\n"
        "print(old.get_parameter(weight).equal(new.get_parameter(weight)), type(processor).__name__)\n"
    )

    def told():
        line = [sys.executable, "-c", code, first]
        environment = hub.env(tmp_path / "other", hub.me)
        return subprocess.run(line, env=environment, capture_output=True, text=True, timeout=120).stdout.split()

    assert told() == ["refused", "0", "True"]
    hub.repos["models", "org/vlm"].granted.add("me")
    assert told() == ["False", "LlavaProcessor"]
