"""Publishing through the real client against the loopback Hub: one commit, what comes back, what leaks."""

import io
import json
import os
import subprocess
import sys

import pyarrow.parquet as pq
import pytest
import yaml
from datasets import load_dataset
from hub import LoopbackHub
from huggingface_hub import DatasetCard
from PIL import Image

import hf_select as hs
from hf_select.errors import HFSelectError, UsageError
from hf_select.hub.publish import Content, build, publish

SECRET_USER = "user-canary"


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


def test_a_branch_and_a_pull_request_leave_main_alone(hub, send):
    hub.repo("me/vit")
    send(revision="next")
    assert hub.commits("me/vit") == [] and "selection.parquet" in hub.files("me/vit", revision="next")
    done = send(create_pr=True)
    assert done.pull_request.endswith("/discussions/1") and hub.commits("me/vit") == []
    with pytest.raises(UsageError, match="pull request"):
        send(revision="next", create_pr=True)


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


def test_without_matplotlib_the_card_has_no_plots(content, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    build(content, tmp_path / "out", repo_id="me/vit")
    assert not (tmp_path / "out" / "plots").exists()
    assert "plots/" not in (tmp_path / "out" / "README.md").read_text()


def test_scores_hold_what_choosing_again_looks_at_and_no_picture(content, tmp_path):
    build(content, tmp_path / "out", repo_id="me/vit")
    names = pq.read_schema(tmp_path / "out" / "scores.parquet").names
    assert names == ["row_key", "worth", "row_status"]


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
