"""run, status, score and select as people type them, with everything slow replaced by a scored table."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hf_select.cli.main import main
from hf_select.recipes.stages import RunFolder


@pytest.fixture
def scores(tmp_path):
    rows = 100
    table = pa.table(
        {
            "row_key": [f"{n:032x}" for n in range(rows)],
            "row_task": ["a" if n % 4 else "b" for n in range(rows)],
            "row_status": ["ok"] * rows,
            "loss_full": pa.array(np.arange(rows, dtype=np.float32)),
            "tokens_full": pa.array(np.ones(rows, dtype=np.int32)),
            "loss_status": ["ok"] * rows,
        }
    )
    folder = tmp_path / "scored"
    folder.mkdir()
    pq.write_table(table, folder / "score.parquet")
    return folder


@pytest.mark.parametrize("sampler", ["grouped", "top", "middle", "bottom", "uniform"])
def test_select_chooses_by_every_sampler(scores, tmp_path, capsys, sampler):
    out = tmp_path / sampler
    code = main(["select", str(scores), "--sampler", sampler, "--out", str(out), "--budget", "20%", "--format", "json"])
    assert code == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 20
    assert (out / "selection.parquet").is_file()


def test_select_by_task_and_dry_run_writes_nothing(scores, tmp_path, capsys):
    out = tmp_path / "out"
    command = ["select", str(scores), "--sampler", "top", "--group", "row_task", "--budget", "20", "--out", str(out)]
    assert main([*command, "--dry-run"]) == 0
    assert "nothing was written" in capsys.readouterr().out
    assert not out.exists()


def test_select_without_scores_says_what_to_give(tmp_path, capsys):
    assert main(["select", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "hf-select score" in capsys.readouterr().err


def test_status_tells_a_stopped_stage_from_a_running_one(tmp_path, capsys):
    folder = RunFolder(tmp_path / "run")
    folder.stage("check", {}, lambda: {"rows": 3})

    class Killed(BaseException):
        pass

    def killed():
        raise Killed

    with pytest.raises(Killed):
        folder.stage("score", {}, killed)
    assert main(["status", str(tmp_path / "run"), "--format", "quiet"]) == 0
    assert capsys.readouterr().out.splitlines() == ["check done", "score stopped"]
    with folder.claimed():
        assert main(["status", str(tmp_path / "run"), "--format", "json"]) == 0
    assert [stage["state"] for stage in json.loads(capsys.readouterr().out)] == ["done", "running"]


def test_status_of_no_run_is_a_usage_error(tmp_path, capsys):
    assert main(["status", str(tmp_path)]) == 2
    assert "holds no run" in capsys.readouterr().err


def test_a_dry_run_of_a_recipe_reads_the_pool_and_writes_nothing(tmp_path, capsys):
    import drawn

    pool, out = drawn.pool(tmp_path / "pool"), tmp_path / "out"
    command = ["run", "mllm_selector", "--pool", str(pool), "--model", "org/vlm", "--out", str(out), "--dry-run"]
    assert main([*command, "--format", "json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plan["rows"], plan["forward_passes"]) == (40, 40)
    assert not out.exists()


def test_settings_of_the_fits_are_flags_and_config_keys(tmp_path, capsys):
    config = tmp_path / "run.yaml"
    config.write_text("fit_lora_rank: 4\nfit_train: projector\n")
    command = ["run", "mllm_selector", "--pool", "p", "--model", "m", "--out", str(tmp_path / "o"), "--dry-run"]
    assert main([*command, "--config", str(config)]) == 2
    assert "lora_rank" in capsys.readouterr().err
