"""Publishing through the real client against the loopback Hub: one commit, faults, what comes back, what leaks."""

import io
import json
import os
import subprocess
import sys

import drawn
import pyarrow.parquet as pq
import pytest
import yaml
from datasets import load_dataset
from hub import LoopbackHub
from huggingface_hub import DatasetCard
from PIL import Image

import hf_select as hs
from hf_select.errors import HFSelectError, UsageError
from hf_select.hub import commit as commit_module
from hf_select.hub.publish import Content, build, publish, temporary_folder
from hf_select.hub.replay import columns_to_share, replay
from hf_select.pool.read import read_pool
from hf_select.pool.view import PoolView
from hf_select.sampling.budget import Budget
from hf_select.sampling.grouped import GroupedSampler
from hf_select.scoring.run import score_columns

SECRET_USER = "user-canary"


@pytest.fixture(scope="module")
def pool_file(tmp_path_factory):
    return drawn.pool(tmp_path_factory.mktemp(SECRET_USER) / "pool")


@pytest.fixture(scope="module")
def pool(pool_file):
    return read_pool(str(pool_file))


@pytest.fixture(scope="module")
def scored(pool):
    columns = score_columns(pool).with_format("arrow")[:]
    import pyarrow as pa

    return columns.append_column("worth", pa.array([float(i % 7) for i in range(len(columns))], pa.float64()))


@pytest.fixture(scope="module")
def content(pool, scored):
    picked = GroupedSampler(score="worth", bins=4).select(scored, Budget(12), seed=3)
    about = {
        "pool": "pool.jsonl",
        "pool_revision": None,
        "pool_rows": 40,
        "method": {"name": "grouped", "paper": "arXiv 2503.20502", "necessity": "worth", "bins": 4},
        "model": "tiny",
        "budget": "12 rows",
        "seed": 3,
        "tasks": [{"task": "a|b <x>", "rows": 40, "usable": 40, "picked": 12, "share": 0.3, "mean_score": 1.0}],
        "scorers": [{"name": "AnswerLoss", "version": 1, "model": "tiny", "weights": "abc", "dtype": "float32"}],
        "licences": {"a": "cc-by-4.0", "b": "other", "c": None},
        "command": "hf-select run mllm_selector --pool pool.jsonl --budget 12",
    }
    about["tasks"][0]["mean_score_picked"] = None
    rows = picked.apply(pool)
    return Content(
        selection=picked, about=about, view=PoolView(), rows=rows, scored=columns_to_share(picked, scored, "here")
    )


@pytest.fixture
def waits():
    return []


@pytest.fixture
def send(content, waits):
    def send(repo_id="me/vit", **options):
        return publish(content, repo_id, sleep=waits.append, **options)

    return send


def pushes(hub):
    return hub.count("PUT", "/lfs/")


def test_the_whole_subset_is_one_commit_and_comes_back(hub, send, content, pool_file):
    done = send()
    assert hub.commits("me/vit") == ["12 rows chosen from pool.jsonl"]
    assert done.commit == hub.repos["datasets", "me/vit"].branches["main"] and done.changed
    assert hub.repos["datasets", "me/vit"].private
    back = load_dataset("me/vit", split="train")
    assert back["id"] == content.rows["id"]
    raw = back.with_format("arrow")[:]["image"].to_pylist()
    for row_id, image in zip(back["id"], raw, strict=True):
        assert image["bytes"] == (pool_file.parent / "images" / f"{row_id[1:]}.png").read_bytes()
    streamed = [row["id"] for row in load_dataset("me/vit", split="train", streaming=True)]
    assert streamed == back["id"]


def test_a_fresh_process_reads_what_was_published(hub, send, content, tmp_path):
    send()
    code = "from datasets import load_dataset\nprint(*load_dataset('me/vit', split='train')['id'])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | hub.env(tmp_path / "other", hub.me),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.split() == content.rows["id"], done.stderr


def test_the_card_is_read_by_the_hubs_own_class_and_says_what_is_there(hub, send, content):
    send()
    text = hub.files("me/vit")["README.md"].decode()
    card = DatasetCard(text)
    assert card.data.license == "other"
    assert card.data.to_dict()["hf_select"]["rows"] == 12
    assert card.data.size_categories == ["n<1K"] and "hf_select" in card.data.tags
    assert "12 of the 40 rows" in text
    assert 'load_dataset("me/vit", split="train")' in text
    assert "hf-select run hf://datasets/me/vit" in text
    assert "| a\\|b &lt;x&gt; | 40 | 40 | 12 | 30.0% | 1.000 | - |" in text
    assert "`c`: unknown" in text and "`a`: cc-by-4.0" in text
    assert "Not measured yet" in text
    for plot in ("plots/tasks.png", "plots/scores.png"):
        assert f"]({plot})" in text
        assert Image.open(io.BytesIO(hub.files("me/vit")[plot])).format == "PNG"


def test_nothing_of_this_machine_is_in_any_published_byte(hub, send, pool_file):
    send()
    for name, data in hub.files("me/vit").items():
        for secret in (SECRET_USER, str(pool_file.parent), os.getcwd(), hub.me.token, "/tmp/"):
            assert secret.encode() not in data, name


def test_the_same_call_again_changes_nothing_and_sends_nothing(hub, send):
    first = send()
    sent = pushes(hub)
    again = send()
    assert again.commit == first.commit and not again.changed
    assert pushes(hub) == sent and len(hub.commits("me/vit")) == 1


def test_a_hundred_and_twenty_shards_are_still_one_commit(hub, content, waits, tmp_path):
    place = tmp_path / "data"
    place.mkdir()
    for number in range(120):
        content.rows.select([number % 12]).to_parquet(place / f"train-{number:05d}.parquet")
    hub.repo("me/vit", files={"README.md": b"---\nhf_select: {}\n---\n", "data/train-old.parquet": b"old"})
    seen = []
    answer = hub.due

    def watching(method, path):
        if method == "PUT":
            seen.append(set(hub.files("me/vit")))
        return answer(method, path)

    hub.due = watching
    many = Content(selection=content.selection, about=content.about, view=content.view, rows=place)
    publish(many, "me/vit", sleep=waits.append)
    assert seen and all("data/train-old.parquet" in files and len(files) == 3 for files in seen)
    files = hub.files("me/vit")
    assert len(hub.commits("me/vit")) == 1
    assert sum(name.startswith("data/") for name in files) == 120 and "data/train-old.parquet" not in files


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


def test_an_organisation_of_mine_is_mine(hub, send):
    assert send("lab/vit").repo_id == "lab/vit"


def test_what_another_tool_wrote_is_not_replaced_unasked(hub, send):
    hub.repo("me/vit", files={"README.md": b"# theirs\n", "data/train-0.parquet": b"theirs", "notes.txt": b"n"})
    with pytest.raises(HFSelectError, match="--overwrite"):
        send()
    send(overwrite=True)
    files = hub.files("me/vit")
    assert "data/train-0.parquet" not in files and files["notes.txt"] == b"n"
    assert b"# theirs" in files["README.md"]


def test_pub_04_words_and_metadata_of_the_card_that_is_there_are_kept(hub, send):
    existing = (
        "---\nlicense: cc-by-4.0\nconfigs:\n- config_name: default\n  data_files:\n  - split: train\n"
        "    path: data/train-*\ntags: [mine]\nhf_select: {}\n---\n# My words\n\nStay.\n"
    )
    hub.repo("me/vit", files={"README.md": existing.encode()})
    send()
    first = hub.files("me/vit")["README.md"].decode()
    data = yaml.safe_load(first.split("---\n")[1])
    assert data["license"] == "cc-by-4.0" and data["tags"] == ["mine", "hf_select", "visual-instruction-tuning"]
    assert data["configs"][0]["data_files"][0]["path"] == "data/train-*"
    assert "# My words\n\nStay." in first and first.count("hf_select: this part") == 1
    send()
    assert hub.files("me/vit")["README.md"].decode() == first


def test_a_card_the_hub_refuses_is_told_before_anything_is_sent(hub, content, waits):
    bad = Content(**{**content.__dict__, "about": content.about | {"licences": {"a": "my own"}}})
    with pytest.raises(HFSelectError, match="license"):
        publish(bad, "me/vit", sleep=waits.append)
    assert pushes(hub) == 0 and ("datasets", "me/vit") not in hub.repos


def test_a_branch_and_a_pull_request_leave_main_alone(hub, send):
    hub.repo("me/vit")
    send(revision="next")
    assert hub.commits("me/vit") == [] and "selection.parquet" in hub.files("me/vit", revision="next")
    done = send(create_pr=True)
    assert done.pull_request.endswith("/discussions/1") and hub.commits("me/vit") == []
    with pytest.raises(UsageError, match="pull request"):
        send(revision="next", create_pr=True)


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


def test_pub_14_an_empty_selection_is_refused_before_any_request(hub, content, waits):
    table = content.selection.table.slice(0, 0)
    empty = Content(**{**content.__dict__, "selection": hs.Selection(table)})
    with pytest.raises(UsageError, match="empty"):
        publish(empty, "me/vit", sleep=waits.append)
    assert hub.log == []


def test_pub_09_left_out_rows_are_on_the_card(hub, content, waits):
    from dataclasses import replace

    told = replace(
        content.selection, rejected={"image_unreadable": 2}, notes=("2 short: 14 asked, 12 could be chosen",)
    )
    publish(Content(**{**content.__dict__, "selection": told}), "me/vit", sleep=waits.append)
    text = hub.files("me/vit")["README.md"].decode()
    assert "`image_unreadable`: 2" in text and "2 short" in text


def test_the_measured_gain_is_on_the_card(hub, content, waits):
    entry = {"task": "docvqa", "baseline": 40.0, "model": 43.5, "difference": 3.5, "low": 1.0, "high": None, "n": 50}
    gain = {"model": "tuned", "baseline": "random", "runs": [1, 1], "tasks": [entry | {"low": 1.0, "high": 6.0}]}
    measured = Content(**{**content.__dict__, "about": content.about | {"gain": gain}})
    publish(measured, "me/vit", sleep=waits.append)
    text = hub.files("me/vit")["README.md"].decode()
    assert "| docvqa | 40.00 | 43.50 | +3.50 | +1.00 to +6.00 | 50 |" in text and "Not measured yet" not in text


def test_keys_need_a_pool_on_the_hub(hub, send):
    with pytest.raises(UsageError, match="no dataset on the Hub"):
        send(mode="keys")
    assert ("datasets", "me/vit") not in hub.repos


@pytest.fixture
def from_hub(hub, pool, pool_file, content):
    """The same content, chosen from a pool that is on the Hub."""
    pool.push_to_hub("lab/pool")
    sha = hub.repos["datasets", "lab/pool"].branches["main"]
    about = content.about | {"pool": "lab/pool", "pool_revision": sha}
    return Content(**{**content.__dict__, "about": about})


def test_keys_are_kilobytes_and_join_with_the_pool_row_by_row(hub, from_hub, waits, content):
    done = publish(from_hub, "me/keys", mode="keys", sleep=waits.append)
    assert done.size < 100_000 and not any(name.startswith("data/") for name in done.files)
    rows = hs.load_selected("me/keys", sleep=waits.append)
    assert rows["id"] == content.rows["id"] and rows["conversations"] == content.rows["conversations"]
    assert 'hs.load_selected("me/keys")' in hub.files("me/keys")["README.md"].decode()


def test_rows_that_the_pool_no_longer_has_are_refused(hub, from_hub, pool, waits):
    publish(from_hub, "me/keys", mode="keys", sleep=waits.append)
    other = pool.map(
        lambda row: {"conversations": [{**row["conversations"][0], "value": "<image>\nElse?"}, row["conversations"][1]]}
    )
    with pytest.raises(UsageError, match="12 of 12 chosen rows are not in this pool"):
        hs.load_selected("me/keys", other, sleep=waits.append)


def test_a_published_recipe_chooses_the_identical_rows_in_a_fresh_cache(hub, from_hub, waits, tmp_path):
    publish(from_hub, "me/vit", sleep=waits.append)
    code = "import sys\nfrom hf_select.cli.main import main\nsys.exit(main(sys.argv[1:]))"
    line = [sys.executable, "-c", code, "run", "hf://datasets/me/vit", "--format", "json", "--out", str(tmp_path / "o")]
    done = subprocess.run(
        line, env=os.environ | hub.env(tmp_path / "fresh", hub.me), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"rows": 12, "identical": True, "differences": []}
    assert hs.Selection.load(tmp_path / "o").keys == from_hub.selection.keys


def test_a_replay_says_what_is_different(hub, from_hub, waits, pool):
    publish(from_hub, "me/vit", sleep=waits.append)
    pool.select(range(30)).push_to_hub("lab/pool")
    moved = replay("me/vit", sleep=waits.append)
    assert moved.identical and "has moved on" in moved.differences[0]
    del hub.repos["datasets", "lab/pool"]
    assert "is gone" in replay("me/vit", sleep=waits.append).differences[0]


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        ({"sampler": "os.system"}, "doesn't know"),
        ({"settings": {"score": "worth", "evil": 1}}, "evil"),
        ({"seed": None}, "int"),
    ],
)
def test_a_recipe_is_data(hub, from_hub, waits, recipe, words):
    from dataclasses import replace

    changed = replace(from_hub.selection, recipe={**from_hub.selection.recipe, **recipe})
    hostile = Content(**{**from_hub.__dict__, "selection": changed})
    publish(hostile, "me/vit", sleep=waits.append)
    with pytest.raises((HFSelectError, TypeError), match=words):
        replay("me/vit", sleep=waits.append)


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


def test_without_matplotlib_the_card_has_no_plots(content, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    build(content, tmp_path / "out", repo_id="me/vit")
    assert not (tmp_path / "out" / "plots").exists()
    assert "plots/" not in (tmp_path / "out" / "README.md").read_text()


def test_scores_hold_what_choosing_again_looks_at_and_no_picture(content, tmp_path):
    build(content, tmp_path / "out", repo_id="me/vit")
    names = pq.read_schema(tmp_path / "out" / "scores.parquet").names
    assert names == ["row_key", "worth", "row_status"]


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


def test_through_xet_it_is_one_commit_too(content, tmp_path):
    """The other upload path, in a process of its own: the client chooses it when it is imported."""
    pytest.importorskip("hf_xet")
    run = tmp_path / "run"
    build(content, run / "subset")
    (run / "subset" / "scores.parquet").rename(run / "scores.parquet")
    kept = {"about": content.about, "view": {"schema": None}, "folder": "subset", "scored": "scores.parquet"}
    (run / "about.json").write_text(json.dumps(kept))
    with LoopbackHub(xet=tmp_path / "xet") as hub:
        environment = hub.env(tmp_path / "h", hub.me)
        code = "import sys\nfrom hf_select.cli.main import main\nsys.exit(main(sys.argv[1:]))"
        line = [sys.executable, "-c", code, "publish", str(run), "--to", "me/vit", "--format", "json"]
        for changed in (True, False):
            done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=120)
            assert done.returncode == 0, done.stderr
            assert json.loads(done.stdout)["changed"] is changed
        assert len(hub.commits("me/vit")) == 1 and hub.count("PUT", "/lfs/") == 0
        files = hub.files("me/vit")
    assert pq.read_table(io.BytesIO(files["data/train-00000.parquet"]))["id"].to_pylist() == content.rows["id"]
