import json

import pytest

from hf_select.cli.main import main
from hf_select.demo.measure import Picked
from hf_select.demo.pool import DemoPool
from hf_select.demo.run import DemoResult, SeedResult
from hf_select.demo.tasks import TASKS


@pytest.fixture
def fake(monkeypatch, tmp_path):
    """The demo's result without its minutes; the real run is in tests/demo/test_run.py."""
    calls = []

    def run_demo(folder, config, *, seeds, note):
        assert folder.parent.exists()
        calls.append((folder, config, seeds))
        note("drawing")
        scores = {name: dict.fromkeys(TASKS, 50.0) for name in ("start", "random", "mllm_selector", "presel")}
        picked = dict.fromkeys(("random", "mllm_selector", "presel"), Picked(10, 1, 1, dict.fromkeys(TASKS, 1)))
        results = [SeedResult(n, scores, picked, {"answers": 1.0}, 10) for n in range(seeds)]
        return DemoResult(config, DemoPool(tmp_path, frozenset(), frozenset()), results, 0.1, 0.2, 0.3)

    monkeypatch.setattr("hf_select.demo.run.run_demo", run_demo)
    monkeypatch.setattr("hf_select.demo.run.calm", lambda: None)
    return calls


def test_prints_the_table_and_leaves_nothing_behind(fake, capsys):
    assert main(["demo"]) == 0
    text = capsys.readouterr()
    assert "macro mean" in text.out and "Undecided" in text.out
    assert "drawing" in text.err
    assert not fake[0][0].exists()


def test_json_is_data(fake, capsys):
    assert main(["demo", "--format", "json", "--seeds", "3", "--rows", "500", "--budget", "50"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["gains"]["presel"]["mean"] == data["gains"]["mllm_selector"]["mean"] == 0.0
    assert len(data["seeds"]) == 3
    assert fake[0][1].rows == 500 and fake[0][1].budget == "50"


def test_out_keeps_everything_and_says_where(fake, capsys, tmp_path):
    assert main(["demo", "--out", str(tmp_path / "kept")]) == 0
    assert fake[0][0] == tmp_path / "kept"
    assert f"hf-select status {tmp_path / 'kept'}" in capsys.readouterr().out


def test_no_seeds_is_a_usage_error(fake, capsys):
    assert main(["demo", "--seeds", "0"]) == 2
    assert "--seeds 0" in capsys.readouterr().err
    assert not fake


def test_dry_run_runs_nothing(fake, capsys):
    assert main(["demo", "--dry-run"]) == 0
    assert "nothing was written" in capsys.readouterr().out
    assert not fake
