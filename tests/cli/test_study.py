"""hf-select study with a real model class built tiny: every stage is the product's own."""

from __future__ import annotations

import json
from pathlib import Path

import json_pools
import pytest
import tiny
import yaml
from PIL import Image

from hf_select.cli.main import main

ROWS = 24


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A pool of two tasks with planted trouble, held-out rows, and a tiny LLaVA."""
    root = tmp_path_factory.mktemp("study")
    (root / "images").mkdir()
    records = []
    for at in range(ROWS + 4):
        color = ("red", "green", "blue")[at % 3]
        Image.new("RGB", (32, 32), color).save(root / "images" / f"{at}.png")
        turns = json_pools.turns(f"<image>\nWhich colour has number {at}?", f"{color} {at}")
        record = {"id": str(at), "image": f"images/{at}.png", "conversations": turns, "task": "ab"[at % 2]}
        records.append(record | {"planted": "swapped" if at % 8 == 0 else ""})
    for name, chosen in (("pool", records[:ROWS]), ("eval", records[ROWS:])):
        (root / f"{name}.jsonl").write_text("".join(json.dumps(one) + "\n" for one in chosen))
    tiny.llava(root / "model")
    return root


def write(home: Path, file: Path, **changes) -> Path:
    told = {
        "model": str(home / "model"),
        "pools": {"mine": str(home / "pool.jsonl")},
        "held_out": str(home / "eval.jsonl"),
        "planted": "planted",
        "recipes": ["perplexity"],
        "budgets": ["50%"],
        "seeds": [0, 1],
        "seed_fraction": 0.2,
        "full_seeds": 1,
        "fit": {"max_steps": 1, "batch_size": 4, "dtype": "float32"},
        "dtype": "float32",
    } | changes
    file.write_text(yaml.safe_dump(told))
    return file


def test_a_study_ends_with_its_results_and_runs_no_fit_twice(home, tmp_path, capsys):
    file = write(home, tmp_path / "study.yaml")
    out = tmp_path / "out"
    assert main(["study", str(file), "--out", str(out), "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["runs"] == 6
    assert told["missing"] == 0
    rows = json.loads((out / "RESULTS.json").read_text())["rows"]
    entry = next(row for row in rows if row["recipe"] == "perplexity")
    assert entry["pool"] == "mine"
    assert entry["budget"] == 0.5
    assert entry["seeds"] == 2
    assert entry["diff_low"] <= entry["diff"] <= entry["diff_high"]
    assert "perplexity" in (out / "RESULTS.md").read_text()
    assert not list((out / "work" / "models").iterdir()), "checkpoints go when they were evaluated"
    before = sorted(path.stat().st_mtime_ns for path in out.rglob("run.json"))
    assert main(["study", str(file), "--out", str(out), "--format", "quiet"]) == 0
    assert sorted(path.stat().st_mtime_ns for path in out.rglob("run.json")) == before


def test_a_dry_run_counts_fits_and_writes_nothing(home, tmp_path, capsys):
    file = write(home, tmp_path / "study.yaml")
    assert main(["study", str(file), "--out", str(tmp_path / "out"), "--dry-run", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"fits": 6}
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"budget": "15%"}, "unknown setting 'budget'"),
        ({"suite": "quick"}, "either held_out or suite"),
        ({"held_out": None}, "either held_out or suite"),
        ({"model": ""}, "has no model"),
    ],
)
def test_wrong_files_are_refused_in_one_sentence(home, tmp_path, capsys, changes, words):
    file = write(home, tmp_path / "study.yaml", **changes)
    assert main(["study", str(file), "--out", str(tmp_path / "out")]) == 2
    assert words in capsys.readouterr().err


def test_results_before_any_fit_say_what_to_do(home, tmp_path, capsys):
    file = write(home, tmp_path / "study.yaml")
    assert main(["study", str(file), "--out", str(tmp_path / "out"), "--only-results"]) == 2
    assert "no finished fit" in capsys.readouterr().err
