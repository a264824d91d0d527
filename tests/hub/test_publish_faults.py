"""Publishing when something goes wrong: what the user sees, and that the same call finishes."""

import json
import os
import subprocess
import sys

import pytest
from datasets import load_dataset

from hf_select.errors import HFSelectError
from hf_select.hub import commit as commit_module
from hf_select.hub.publish import Content, build, publish, temporary_folder


def pushes(hub):
    return hub.count("PUT", "/lfs/")


@pytest.mark.parametrize(
    "fault",
    [
        {"method": "POST", "path": "/commit/", "status": 429, "headers": {"Retry-After": "7"}},
        {"method": "POST", "path": "/commit/", "status": 503},
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
    ],
    ids=lambda fault: f"{fault['path']}-{fault.get('kind', fault.get('status'))}",
)
def test_what_passes_is_waited_for_and_ends_in_one_commit(hub, send, waits, fault):
    hub.fail(fault.pop("method"), fault.pop("path"), **fault)
    done = send()
    assert len(hub.commits("me/vit")) == 1 and done.commit
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
    assert not [one for one in hub.log if one.method != "GET"]


def test_a_card_the_hub_refuses_is_told_before_anything_is_sent(hub, content, waits):
    bad = Content(**{**content.__dict__, "about": content.about | {"licences": {"a": "my own"}}})
    with pytest.raises(HFSelectError, match="license"):
        publish(bad, "me/vit", sleep=waits.append)
    assert pushes(hub) == 0 and ("datasets", "me/vit") not in hub.repos


def test_what_arrived_is_compared_with_what_was_sent(hub, send, monkeypatch):
    verify = commit_module._verify

    def tampered(*arguments):
        repo = hub.repos["datasets", "me/vit"]
        tree = repo.resolve("main").tree
        blob = tree["selection.parquet"]
        tree["selection.parquet"] = type(blob)(blob.data + b"x", blob.lfs)
        return verify(*arguments)

    monkeypatch.setattr(commit_module, "_verify", tampered)
    with pytest.raises(HFSelectError, match="another selection.parquet"):
        send()


def test_temporary_folders_of_killed_processes_are_removed(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (tmp_path / f"hf-select-publish-{dead.pid}-x").mkdir()
    mine = tmp_path / f"hf-select-publish-{os.getpid()}-x"
    mine.mkdir()
    with temporary_folder() as folder:
        assert sorted(tmp_path.iterdir()) == sorted([mine, folder])
    assert list(tmp_path.iterdir()) == [mine]


def test_a_full_disk_is_told_before_anything_is_written(hub, send, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000})())
    with pytest.raises(HFSelectError, match="GB are free"):
        send()
    assert ("datasets", "me/vit") not in hub.repos


def test_pub_08_a_second_try_leaves_no_doubles(hub, content, waits, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    place = tmp_path / "data"
    place.mkdir()
    for number in range(3):
        content.rows.select(range(4 * number, 4 * number + 4)).to_parquet(place / f"train-{number:05d}.parquet")
    shards = Content(selection=content.selection, about=content.about, view=content.view, rows=place)
    hub.fail("POST", "/commit/", status=401)
    with pytest.raises(HFSelectError):
        publish(shards, "me/vit", sleep=waits.append)
    publish(shards, "me/vit", sleep=waits.append)
    assert load_dataset("me/vit", split="train")["id"] == content.rows["id"]


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
        "look, calls = commit._look, []\n"
        "def deadly(*arguments):\n"
        "    calls.append(1)\n"
        "    if len(calls) == 2:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return look(*arguments)\n"
        "commit._look = deadly\n"
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
