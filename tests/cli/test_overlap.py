"""`hf-select overlap`, and what `select` and `run` leave out because of it."""

import json

import benchmark_data
import pyarrow.parquet as pq
import pytest
from datasets import load_dataset

from hf_select.cli.main import main
from hf_select.pool.read import read_pool
from hf_select.recipes.pipeline import Pipeline, Source
from hf_select.recipes.stages import RunFolder
from hf_select.sampling.left_out import read_left_out


@pytest.fixture
def home(tmp_path):
    """A pool of four rows in the images' order: rows 0 and 2 have pictures of ChartQA."""
    root = benchmark_data.write(tmp_path / "data", ["lmms-lab-encoder/ChartQA", "lmms-lab-encoder/DocVQA"])
    charts = load_dataset(str(root / "lmms-lab-encoder" / "ChartQA"), split="test").with_format("arrow")[:]["image"]
    rows = []
    for number in range(4):
        image = tmp_path / f"{number}.png"
        if number % 2:
            benchmark_data.number_picture(70 + number).save(image)
        else:
            image.write_bytes(charts[number].as_py()["bytes"])
        turns = [{"from": "human", "value": f"<image>\nWhat of {number}?"}, {"from": "gpt", "value": "a"}]
        rows.append({"id": str(number), "image": image.name, "conversations": turns})
    (tmp_path / "pool.json").write_text(json.dumps(rows))
    return tmp_path


def command(home, *more):
    tasks = ["--suite", "documents", "--tasks", "chartqa", "docvqa_val", "--data-root", str(home / "data")]
    return ["overlap", str(home / "pool.json"), *tasks, "--out", str(home / "out"), *more]


def test_every_form_and_the_second_call(home, capsys):
    assert main(command(home)) == 0
    text = capsys.readouterr().out
    assert "2 of 4 rows overlap with 16 documents" in text and "chartqa" in text
    assert not (home / "out" / "left_out.parquet").exists()
    assert main(command(home, "--format", "quiet")) == 0
    assert capsys.readouterr().out == "2\n"
    assert main(command(home, "--format", "json")) == 0
    told = json.loads(capsys.readouterr().out)
    assert [task["rows_leaking"] for task in told["tasks"]] == [0, 2]
    assert pq.read_table(home / "out" / "pairs.parquet").num_rows == told["pairs"] == 2


def test_strict_is_a_check_and_a_dry_run_writes_nothing(home, capsys):
    assert main(command(home, "--dry-run", "--format", "json")) == 0
    assert json.loads(capsys.readouterr().out) == {"rows": 4, "documents": {"docvqa_val": 8, "chartqa": 8}}
    assert not (home / "out").exists()
    assert main(command(home, "--strict")) == 3
    assert "2 of 4 rows" in capsys.readouterr().err
    assert (home / "out" / "pairs.parquet").is_file()


def test_a_data_set_that_is_not_there_is_told_before_the_pool_is_read(home, capsys):
    line = command(home)
    line[line.index("docvqa_val")] = "textvqa_val"
    line[1] = str(home / "nowhere.json")
    assert main(line) == 2
    assert "textvqa_val needs the data set" in capsys.readouterr().err


def test_a_run_and_a_selection_leave_the_rows_out_with_their_reason(home, capsys):
    assert main(command(home, "--exclude")) == 0
    reason = "overlaps chartqa: same file"
    without = read_left_out(home / "out")
    assert list(without.values()) == [reason, reason]
    source = Source(pool=str(home / "pool.json"))
    pipeline = Pipeline(source, RunFolder(home / "run"), without=without)
    facts = pipeline.check()
    assert facts["row_status"].to_pylist() == [reason, "ok", reason, "ok"]
    assert pipeline.pool_identity() != Pipeline(source, RunFolder(home / "run")).pool_identity()
    assert pipeline.over(pipeline.pool, source.view).without == {}
    plain = Pipeline(source, RunFolder(home / "plain"))
    plain.check()
    line = ["select", str(home / "plain" / "facts.parquet"), "--sampler", "uniform", "--budget", "4"]
    line += ["--without", str(home / "out"), "--out", str(home / "chosen"), "--format", "json"]
    capsys.readouterr()
    assert main(line) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["rows"], told["rejected"]) == (2, {reason: 2})
    assert read_pool(str(home / "pool.json")).num_rows == 4
