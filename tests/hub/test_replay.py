"""Having a published selection again: its rows from the pool, and the choice from its scores."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
from loopback_hub.store import Blob

import hf_select as hs
from hf_select.errors import HFSelectError, UsageError
from hf_select.hub.content import Content
from hf_select.hub.load import fetch
from hf_select.hub.publish import publish
from hf_select.hub.replay import replay


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


@pytest.mark.parametrize(
    "named", [{"id": "/etc"}, {"id": "../x/pool.jsonl"}, {"id": 7}, {"revision": 7}, {"view": "x"}]
)
def test_a_hostile_recipe_makes_nobody_read_a_file_of_their_own(hub, from_hub, waits, tmp_path, monkeypatch, named):
    publish(from_hub, "me/keys", mode="keys", sleep=waits.append)
    folder = fetch("me/keys", sleep=waits.append)
    chosen = hs.Selection.load(folder)
    recipe = {**chosen.recipe, "pool": {**chosen.recipe["pool"], **named}}
    replace(chosen, recipe=recipe).save(tmp_path / "bad")
    for file in (tmp_path / "bad").iterdir():
        tree = hub.repos["datasets", "me/keys"].resolve("main").tree
        tree[file.name] = Blob(file.read_bytes(), file.name.endswith(".parquet"))
    hub.here(monkeypatch, tmp_path / "fresh", hub.me)
    with pytest.raises(HFSelectError, match="names no pool on the Hub"):
        hs.load_selected("me/keys", sleep=waits.append)


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
    changed = replace(from_hub.selection, recipe={**from_hub.selection.recipe, **recipe})
    hostile = Content(**{**from_hub.__dict__, "selection": changed})
    publish(hostile, "me/vit", sleep=waits.append)
    with pytest.raises((HFSelectError, TypeError), match=words):
        replay("me/vit", sleep=waits.append)


def test_a_replay_says_that_a_scorer_has_changed_and_that_its_model_is_gone(hub, from_hub, waits):
    entry = {"name": "AnswerLoss", "version": 0, "model": "me/seed", "weights": "abc", "dtype": "float32"}
    older = Content(**{**from_hub.__dict__, "about": from_hub.about | {"scorers": [entry, entry | {"name": "Lost"}]}})
    publish(older, "me/vit", sleep=waits.append)
    told = replay("me/vit", sleep=waits.append)
    assert told.identical
    assert "version 0 of AnswerLoss; it is 1 here" in told.differences[0]
    assert "me/seed that gave the scores is gone" in told.differences[1]
    assert "no scorer 'Lost'" in told.differences[2]
