"""How a rate becomes a projection, and that operations are those of the forward passes."""

import json

import drawn
import pytest
import tiny

import hf_select as hs
from hf_select.cli.main import main
from hf_select.errors import HFSelectError, UsageError
from hf_select.scoring.throughput import Throughput, throughput


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(tiny.llava(tmp_path_factory.mktemp("model")))


@pytest.fixture(scope="module")
def pool_file(tmp_path_factory):
    return drawn.pool(tmp_path_factory.mktemp("pool"))


def measured(**changes):
    facts = {"rows": 10, "refused": 1, "seconds": 5.0, "flop": 2e12, "peak": 1e12, "pool_rows": 36_000}
    return Throughput(**{**facts, "device": "cuda:0", "dtype": "bfloat16", **changes})


def test_projections_are_arithmetic_of_what_was_measured():
    found = measured()
    assert found.rows_per_second == 2
    assert found.utilisation == pytest.approx(0.4)
    assert found.pool_seconds == 18_000
    assert found.gpu_hours == 5
    assert measured(device="cpu").gpu_hours is None
    assert "5.0 hours" in found.render()
    assert "GPU-hours" not in measured(device="cpu").render()


def test_two_contexts_cost_more_operations_than_one(model, pool_file):
    pool = hs.read_pool(str(pool_file))
    one = throughput(pool, hs.AnswerLoss(model=model, device="cpu"), rows=3, runs=1)
    two = throughput(pool, hs.AnswerLoss(model=model, device="cpu", contexts=("full", "no_image")), rows=3, runs=1)
    assert one.rows == two.rows == 3
    assert one.pool_rows == len(pool)
    assert one.flop < two.flop
    assert one.seconds > 0
    assert one.peak > 0


def test_what_can_not_be_measured_is_said(model, pool_file):
    pool = hs.read_pool(str(pool_file))
    scorer = hs.AnswerLoss(model=model, device="cpu")
    with pytest.raises(UsageError, match="at least 1"):
        throughput(pool, scorer, rows=0)
    with pytest.raises(UsageError, match="empty"):
        throughput(pool.select([]), scorer)
    with pytest.raises(HFSelectError, match="none of the 2 rows"):
        throughput(pool, hs.AnswerLoss(model=model, device="cpu", max_length=1), rows=2, runs=1)


def test_the_command_prints_what_it_measured(model, pool_file, capsys):
    command = ["bench", "--pool", str(pool_file), "--model", model, "--rows", "2", "--runs", "1", "--device", "cpu"]
    assert main([*command, "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["rows"] == 2
    assert told["gpu_hours"] is None
    assert told["pool_seconds"] == pytest.approx(told["pool_rows"] / told["rows_per_second"])
