"""Publishing through the real client against the loopback Hub: one commit, what comes back, what leaks."""

import io
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import drawn
import pyarrow.parquet as pq
import pytest
import yaml
from datasets import Dataset, load_dataset
from hub import LoopbackHub
from huggingface_hub import DatasetCard
from PIL import Image

import hf_select as hs
from hf_select.errors import HFSelectError, UsageError
from hf_select.hub.folder import build
from hf_select.hub.merge import read_metadata
from hf_select.hub.publish import dry_run, publish
from hf_select.pool.read import read_pool
from hf_select.scoring.run import score_columns

SECRET_USER = "user-canary"


def as_run(content, folder):
    """The folder that a run would leave of this content."""
    build(content, folder / "subset")
    (folder / "subset" / "scores.parquet").rename(folder / "scores.parquet")
    kept = {"about": content.about, "view": {"schema": None}, "folder": "subset", "scored": "scores.parquet"}
    (folder / "about.json").write_text(json.dumps(kept))
    return folder


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
        if name.endswith(".parquet"):
            # Compressed columns would hide it.
            table = pq.read_table(io.BytesIO(data))
            data += repr([table.schema, table.to_pylist()]).encode()
        for secret in (SECRET_USER, str(pool_file.parent), os.getcwd(), hub.me.token, "/tmp/", str(Path.home()) + "/"):
            assert secret.encode() not in data, name


def test_the_same_call_again_changes_nothing_and_sends_nothing(hub, send):
    first = send()
    sent = pushes(hub)
    again = send()
    assert again.commit == first.commit and not again.changed
    assert pushes(hub) == sent and len(hub.commits("me/vit")) == 1


def test_a_hundred_and_twenty_shards_are_still_one_commit(hub, content, send, tmp_path):
    pool = read_pool(str(drawn.pool(tmp_path / "many", rows=120)))
    whole = hs.Uniform().select(score_columns(pool), 120)
    hub.repo("me/vit", files={"README.md": b"---\nhf_select: {}\n---\n", "data/train-old.parquet": b"old"})
    seen = []
    answer = hub.due

    def watching(method, path):
        if method == "PUT":
            seen.append(set(hub.files("me/vit")))
        return answer(method, path)

    hub.due = watching
    send(selection=whole, rows=whole.apply(pool), shard_bytes=1)
    assert seen and all("data/train-old.parquet" in files and len(files) == 3 for files in seen)
    files = hub.files("me/vit")
    assert len(hub.commits("me/vit")) == 1
    assert sum(name.startswith("data/") for name in files) == 120 and "data/train-old.parquet" not in files
    assert load_dataset("me/vit", split="train")["id"] == whole.apply(pool)["id"]


def test_an_organisation_of_mine_is_mine(hub, send):
    assert send("lab/vit").repo_id == "lab/vit"


def test_what_another_tool_wrote_is_not_replaced_unasked(hub, send):
    others = {"train.jsonl": b"{}", "data/train-0.parquet": b"theirs", "dataset_infos.json": b"{}", "notes.txt": b"n"}
    hub.repo("me/vit", files={"README.md": b"# theirs, not hf_select:\n"} | others)
    with pytest.raises(HFSelectError, match="--overwrite"):
        send()
    send(overwrite=True)
    files = hub.files("me/vit")
    assert not files.keys() & (others.keys() - {"notes.txt"}) and files["notes.txt"] == b"n"
    assert b"# theirs" in files["README.md"]


def test_what_push_to_hub_wrote_is_replaced_with_its_features_and_configurations(hub, send, content):
    for config in ("default", "more"):
        Dataset.from_dict({"x": [1, 2, 3]}).push_to_hub("me/vit", config)
    send(overwrite=True)
    assert load_dataset("me/vit", split="train")["id"] == content.rows["id"]
    assert not any(name.startswith("more/") for name in hub.files("me/vit"))
    assert [one["config_name"] for one in read_metadata(hub.files("me/vit")["README.md"].decode())["configs"]] == [
        "default"
    ]


def test_keys_in_place_of_rows_leave_a_repository_that_loads(hub, send, content):
    send()
    send(about=content.about | {"pool": "lab/pool", "pool_revision": "a" * 40}, mode="keys")
    assert not any(name.startswith("data/") for name in hub.files("me/vit"))
    assert load_dataset("me/vit", split="train")["key"] == list(content.selection.keys)


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
    assert done.changed and done.commit == hub.head("me/vit", revision="refs/pr/1")
    with pytest.raises(UsageError, match="pull request"):
        send(revision="next", create_pr=True)


def test_a_pull_request_may_go_to_a_repository_of_somebody_else_that_exists(hub, send):
    with pytest.raises(HFSelectError, match="no repository other/vit"):
        send("other/vit", create_pr=True)
    hub.repo("other/vit")
    assert send("other/vit", create_pr=True).pull_request.endswith("/other/vit/discussions/1")


def test_pub_14_an_empty_selection_is_refused_before_any_request(hub, send, content):
    with pytest.raises(UsageError, match="empty"):
        send(selection=hs.Selection(content.selection.table.slice(0, 0)))
    assert hub.log == []


def test_pub_09_left_out_rows_are_on_the_card_and_lost_ones_are_refused(hub, send, content):
    short = ("2 short: 14 asked, 12 could be chosen",)
    send(selection=replace(content.selection, rejected={"image_unreadable": 2}, notes=short))
    text = hub.files("me/vit")["README.md"].decode()
    assert "`image_unreadable`: 2" in text and "2 short" in text
    with pytest.raises(HFSelectError, match="11 rows were given for a selection of 12"):
        send("me/lost", rows=content.rows.select(range(11)))
    assert ("datasets", "me/lost") not in hub.repos


def test_a_dry_run_asks_but_changes_nothing_and_leaves_what_would_be_sent(hub, send, content, waits, tmp_path):
    hub.repo("me/vit", files={"README.md": b"# Mine\n"})
    sizes = dry_run(content, "me/vit", tmp_path / "kept", sleep=waits.append)
    assert not [one for one in hub.log if one.method not in ("GET", "HEAD") and "validate-yaml" not in one.path]
    assert sizes == {name: (tmp_path / "kept" / name).stat().st_size for name in sizes}
    send()
    files = hub.files("me/vit")
    assert set(sizes) | {".gitattributes"} >= set(files) and files["README.md"].startswith(b"---")
    for name in set(sizes) - {"plots/scores.png", "plots/tasks.png"}:
        assert (tmp_path / "kept" / name).read_bytes() == files[name], name
    with pytest.raises(HFSelectError, match="may not publish under other"):
        dry_run(content, "other/vit", tmp_path / "not", sleep=waits.append)


def test_a_run_s_folder_is_published_by_its_path(hub, content, waits, tmp_path):
    run = as_run(content, tmp_path / "run")
    done = publish(run, "me/vit", sleep=waits.append)
    assert done.changed and load_dataset("me/vit", split="train")["id"] == content.rows["id"]


def test_through_xet_it_is_one_commit_too(content, tmp_path):
    """The other upload path, in a process of its own: the client chooses it when it is imported."""
    pytest.importorskip("hf_xet")
    run = as_run(content, tmp_path / "run")
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
