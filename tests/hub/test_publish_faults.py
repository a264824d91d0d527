"""Publishing when something goes wrong: what the user sees, and that the same call finishes."""

import json
import os
import subprocess
import sys

import pytest
from datasets import load_dataset
from loopback_hub.store import Blob

from hf_select.errors import HFSelectError
from hf_select.hub import commit as commit_module
from hf_select.hub.folder import build


def pushes(hub):
    return hub.count("PUT", "/lfs/")


@pytest.mark.parametrize(
    "fault",
    [
        {"method": "POST", "path": "/commit/", "status": 429, "headers": {"Retry-After": "7"}},
        {"method": "POST", "path": "/commit/", "status": 429, "headers": {"RateLimit": '"api";r=0;t=6'}},
        {"method": "POST", "path": "/commit/", "status": 503, "headers": {"RateLimit": '"api";r=400;t=250'}},
        {"method": "POST", "path": "/commit/", "status": 500},
        {"method": "POST", "path": "/commit/", "status": 409},
        {"method": "POST", "path": "/commit/", "status": 412},
        {"method": "POST", "path": "/commit/", "kind": "reset"},
        {"method": "POST", "path": "/commit/", "kind": "lost"},
        {"method": "POST", "path": "/repos/create", "status": 503},
        {"method": "POST", "path": "/repos/create", "kind": "lost"},
        {"method": "POST", "path": "/validate-yaml", "status": 503, "body": b"<html>proxy</html>"},
        {"method": "POST", "path": "/validate-yaml", "status": 429, "headers": {"Retry-After": "7"}},
        {"method": "GET", "path": "/whoami", "status": 503},
        {"method": "GET", "path": "/api/datasets/me/vit", "status": 503},
        {"method": "GET", "path": "/whoami", "kind": "html", "status": 200},
    ],
    ids=lambda fault: f"{fault['path']}-{fault.get('kind', fault.get('status'))}",
)
def test_what_passes_is_waited_for_and_ends_in_one_commit(hub, send, waits, fault):
    hub.fail(fault.pop("method"), fault.pop("path"), **fault)
    done = send()
    assert len(hub.commits("me/vit")) == 1 and done.commit == hub.head("me/vit") and done.changed
    assert len(waits) == 1
    assert waits == [7.0] or 0 < waits[0] < 3
    names = [one.path for one in hub.log if one.method == "PUT"]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"method": "POST", "path": "/commit/", "status": 401}, "hf auth login"),
        ({"method": "POST", "path": "/commit/", "status": 403}, "write access"),
        ({"method": "POST", "path": "/preupload/", "status": 401}, "hf auth login"),
        ({"method": "PUT", "path": "/lfs/", "status": 401, "times": 9999}, "hf auth login"),
        ({"method": "POST", "path": "/objects/batch", "status": 403}, "write access"),
        ({"method": "POST", "path": "/commit/", "status": 503, "times": 9}, "happened 5 times"),
        ({"method": "POST", "path": "/commit/", "kind": "reset", "times": 9}, "happened 5 times"),
        ({"method": "POST", "path": "/commit/", "status": 412, "times": 9}, "changed the repository meanwhile"),
        ({"method": "POST", "path": "/validate-yaml", "status": 503, "body": b"<p>", "times": 9}, "not well"),
        ({"method": "PUT", "path": "/lfs/", "status": 503, "times": 9999}, "not well"),
        ({"method": "PUT", "path": "/lfs/", "kind": "reset", "times": 9999}, "connection to the Hub broke"),
        ({"method": "PUT", "path": "/lfs/", "kind": "cut", "times": 9999}, "connection to the Hub broke"),
        ({"method": "POST", "path": "/commit/", "status": 429, "retry_after": 3600}, "same command in 3600 s"),
        ({"method": "POST", "path": "/commit/", "status": 400, "message": "too many files"}, "says: too many files"),
        ({"method": "POST", "path": "/commit/", "status": 403, "message": "storage is full"}, "says: storage is full"),
        (
            {"method": "GET", "path": "/api/datasets/me/vit", "kind": "html", "status": 200, "times": 9},
            "else than JSON",
        ),
    ],
    ids=lambda value: f"{value['path']}-{value.get('kind', value.get('status'))}" if isinstance(value, dict) else None,
)
def test_what_does_not_pass_is_one_sentence_and_the_same_call_finishes_later(hub, send, monkeypatch, fault, words):
    # The client's own waits between its tries are not ours to sit through.
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    hub.fail(fault.pop("method"), fault.pop("path"), **fault)
    with pytest.raises(HFSelectError, match=words) as caught:
        send()
    assert "\n" not in str(caught.value) and hub.me.token not in str(caught.value)
    known = hub.repos.get(("datasets", "me/vit"))
    assert known is None or hub.commits("me/vit") == []
    stored = hub.stored("me/vit")
    hub.faults.clear()
    hub.log.clear()
    send()
    assert len(hub.commits("me/vit")) == 1
    assert not set(hub.sent()) & stored


def test_no_token_a_reading_token_and_a_foreign_namespace_are_told_before_any_work(hub, send, monkeypatch):
    with pytest.raises(HFSelectError, match="may not publish under other"):
        send("other/vit")
    reader = hub.user("me", role="read")
    monkeypatch.setenv("HF_TOKEN", reader.token)
    with pytest.raises(HFSelectError, match="can only read"):
        send()
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(HFSelectError, match="hf auth login"):
        send()
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(HFSelectError, match="hf auth login|login"):
        send()
    lab = hub.user("guest", orgs={"lab": "read"})
    monkeypatch.setenv("HF_TOKEN", lab.token)
    with pytest.raises(HFSelectError, match="guest may only read in lab; it may publish under guest"):
        send("lab/vit")
    narrow = hub.user("me", role="fineGrained", scopes=("lab",))
    monkeypatch.setenv("HF_TOKEN", narrow.token)
    with pytest.raises(HFSelectError, match="may not write to me/vit; it may to lab"):
        send()
    assert not [one for one in hub.log if one.method != "GET"]


def test_a_card_the_hub_refuses_is_told_before_anything_is_sent(hub, send, content):
    with pytest.raises(HFSelectError, match='refuses the card\'s metadata: "license" must be one of') as caught:
        send(about=content.about | {"licences": {"a": "my own"}})
    assert "\n" not in str(caught.value)
    assert pushes(hub) == 0 and ("datasets", "me/vit") not in hub.repos


def test_what_arrived_is_compared_with_what_was_sent(hub, send, monkeypatch):
    differing = commit_module._Push.differing

    def tampered(push, revision):
        tree = hub.repos["datasets", "me/vit"].resolve("main").tree
        blob = tree["selection.parquet"]
        tree["selection.parquet"] = type(blob)(blob.data + b"x", blob.lfs)
        return differing(push, revision)

    monkeypatch.setattr(commit_module._Push, "differing", tampered)
    with pytest.raises(HFSelectError, match="another selection.parquet"):
        send()


def changed_by_somebody(hub, name, data):
    """What another client does between our look at the repository and our commit."""
    repo = hub.repos["datasets", "me/vit"]
    head = repo.resolve("main")
    tree = dict(head.tree) | {name: Blob(data, False)}
    repo.refs["refs/heads/main"] = repo.add(tree, "theirs", head.sha).sha


def test_words_that_somebody_wrote_meanwhile_are_kept(hub, send):
    hub.repo("me/vit", files={"README.md": b"# First\n"})
    hub.fail(
        "POST", "/commit/", kind="meanwhile", run=lambda: changed_by_somebody(hub, "README.md", b"# First\n\nSecond.\n")
    )
    send()
    assert hub.commits("me/vit")[1:] == ["theirs"] or hub.commits("me/vit")[:1] == ["theirs"]
    assert b"# First\n\nSecond.\n" in hub.files("me/vit")["README.md"]


def test_data_that_another_tool_wrote_meanwhile_are_not_replaced(hub, send):
    hub.repo("me/vit")
    hub.fail("POST", "/commit/", kind="meanwhile", run=lambda: changed_by_somebody(hub, "a.csv", b"a\n1\n"))
    with pytest.raises(HFSelectError, match="did not write .a.csv.*--overwrite"):
        send()
    assert hub.commits("me/vit") == ["theirs"]


def test_a_pull_request_whose_reply_was_lost_is_not_opened_again(hub, send):
    hub.repo("me/vit")
    hub.fail("POST", "/commit/", kind="lost")
    done = send(create_pr=True)
    assert list(hub.repos["datasets", "me/vit"].named("refs/pr/")) == ["1"]
    assert done.changed and done.pull_request.endswith("/datasets/me/vit/discussions/1")
    assert done.commit == hub.head("me/vit", revision="refs/pr/1")


def test_pub_08_a_second_try_leaves_no_doubles(hub, send, content):
    hub.fail("POST", "/commit/", status=401)
    with pytest.raises(HFSelectError):
        send(shard_bytes=1)
    sent = hub.sent()
    send(shard_bytes=1)
    assert len(sent) > 5 and not set(hub.sent()[len(sent) :]) & set(sent)
    assert load_dataset("me/vit", split="train")["id"] == content.rows["id"]


def test_a_token_that_expires_between_shards_is_told_and_what_arrived_is_kept(hub, send):
    hub.fail("PUT", "/lfs/", status=401, after=2, times=999)
    with pytest.raises(HFSelectError, match="expired or revoked: run hf auth login.*What was sent is kept"):
        send(shard_bytes=1)
    assert hub.commits("me/vit") == [] and len(hub.stored("me/vit")) == 2


def test_killed_while_sending_it_leaves_nothing_and_the_next_run_finishes(hub, content, tmp_path):
    """The command itself, on a run's folder, killed with files under way."""
    run, temporary = tmp_path / "run", tmp_path / "temporary"
    temporary.mkdir()
    build(content, run / "subset")
    for name in ("plots", "scores.parquet"):
        (run / "subset" / name).rename(run / name)
    kept = {"about": content.about, "view": {"schema": None}, "folder": "subset", "scored": "scores.parquet"}
    (run / "about.json").write_text(json.dumps(kept))
    killer = (
        "import os, signal, sys\n"
        "from hf_select.hub import commit\n"
        "from hf_select.cli.main import main\n"
        "def deadly(*arguments):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "commit.look = deadly\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    plain = "import sys\nfrom hf_select.cli.main import main\nsys.exit(main(sys.argv[1:]))"
    environment = os.environ | hub.env(tmp_path / "h", hub.me) | {"TMPDIR": str(temporary)}
    line = ["publish", str(run), "--to", "me/vit", "--format", "json"]
    killed = subprocess.run([sys.executable, "-c", killer, *line], env=environment, capture_output=True, timeout=120)
    assert killed.returncode == -9, killed.stderr
    assert hub.commits("me/vit") == [] and list(temporary.iterdir())
    done = subprocess.run(
        [sys.executable, "-c", plain, *line], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["changed"] and len(hub.commits("me/vit")) == 1
    assert list(temporary.iterdir()) == []
    dry = subprocess.run(
        [sys.executable, "-c", plain, *line, "--dry-run"], env=environment, capture_output=True, text=True
    )
    told = json.loads(dry.stdout)
    assert "data/train-00000.parquet" in told["files"] and told["bytes"] == sum(told["files"].values())
    assert len(hub.commits("me/vit")) == 1
