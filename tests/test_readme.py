"""README's Python runs as it stands, but for the names of a pool and a model that only a Hub has."""

import os
import re
import subprocess
import sys

import datasets
import pytest
from hub import LoopbackHub

import hf_select as hs
from hf_select.hub.content import Content
from hf_select.hub.scores import Scores, push_scores
from hf_select.scoring.run import score_columns


def blocks(root):
    return re.findall(r"```python\n(.*?)```", (root / "README.md").read_text("utf-8"), re.S)


def test_the_study_table_and_the_list_of_recipes_are_those_of_the_results(root):
    script = root / "benchmarks" / "study" / "publish.py"
    checked = subprocess.run([sys.executable, script, "--check"], check=False)
    assert checked.returncode == 0, f"run {script.name}: README.md or measured.json differs from RESULTS.json"


@pytest.mark.slow
def test_the_python_of_the_readme_runs(root, tmp_path, monkeypatch):
    import drawn
    import tiny

    model, pool = tiny.llava(tmp_path / "model"), hs.read_pool(str(drawn.pool(tmp_path / "pool")))
    load = datasets.load_dataset
    monkeypatch.setattr(
        datasets,
        "load_dataset",
        lambda name, *more, **named: pool if name == "org/vit-pool" else load(name, *more, **named),
    )
    monkeypatch.chdir(tmp_path)
    with LoopbackHub() as hub:
        hub.me = hub.user("me", orgs={"org": "write"})
        hub.here(monkeypatch, tmp_path / "home", hub.me)
        published(hub, pool)
        names = run(blocks(root), model)
    assert len(names["picked"]) == len(names["subset"]) == 6
    assert len(names["rows"]) == 3
    assert len(names["scores"]) == len(pool)
    assert hs.Selection.load(tmp_path / "selection").keys == names["picked"].keys
    mapped = pool.map(names["loss"], batched=True, batch_size=16)
    assert mapped["loss_full"] == names["scored"]["loss_full"]
    assert all(value is not None for value in mapped["loss_full"])


def published(hub, pool):
    """Put on the Hub what the README reads from it: a selection's keys, and scores."""
    pool.push_to_hub("org/kept")
    table = score_columns(pool).with_format("arrow")[:]
    picked = hs.Uniform().select(table, 3)
    about = {"pool": "org/kept", "pool_revision": hub.head("org/kept"), "pool_rows": len(pool), "model": "m"}
    about |= {"budget": "3", "seed": 0, "tasks": []}
    about |= {"method": {"name": "uniform", "paper": "none", "necessity": "none"}}
    content = Content(selection=picked, about=about, view=hs.PoolView())
    hs.publish(content, "me/vit-15-keys", mode="keys")
    push_scores(Scores(name="seed", table=table, pool="org/kept"), "me/scores")


def run(parts, model):
    """Run the blocks one after the other, with a model that is there; return their names."""
    code = "\n".join(parts)
    given = 'model="me/seed-model", revision="a1b2c3d"'
    assert given in code and 'load_dataset("org/vit-pool", split="train")' in code
    names = {}
    exec(compile(code.replace(given, f"model={os.fspath(model)!r}"), "README.md", "exec"), names)
    return names
