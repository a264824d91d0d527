"""What a crash costs and what a second process finds; each run is a process of its own."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import toys

SCORE = """
import json, sys
import datasets, toys
from hf_select.scoring.run import ScoreStats, score

options = json.loads(sys.argv[1])
pool = datasets.load_from_disk(options.pop("pool"))
if options.pop("stream", False):
    from hf_select.scoring import stream
    stream.SHARD_ROWS = 2
    pool = pool.to_iterable_dataset(num_shards=2)
scorer = toys.Toy(**options.pop("scorer"))
stats = ScoreStats()
scored = score(pool, scorer, stats=stats, **options)
print(json.dumps({
    "toy": scored["toy"][:], "computed": stats.computed, "reused": stats.reused, "torch": "torch" in sys.modules,
    "fingerprint": scored._fingerprint, "facts": stats.scorers[0].computed,
}))
"""


def start(options: dict, seed: str = "0") -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(toys.__file__).parent)}
    return subprocess.run(
        [sys.executable, "-c", SCORE, json.dumps(options)], env=environment, capture_output=True, text=True, timeout=120
    )


def finished(options: dict, seed: str = "0") -> dict:
    done = start(options, seed)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def log(tmp_path):
    (tmp_path / "log").touch()
    return str(tmp_path / "log")


def options(tmp_path, log, rows, **more) -> dict:
    pool = tmp_path / "pool"
    if not pool.exists():
        toys.pool(rows, "png").save_to_disk(str(pool))
    more.setdefault("scorer", {"log": log})
    return {"pool": str(pool), "cache_dir": str(tmp_path / "scores")} | more


def numbers(rows) -> list[float]:
    return toys.pool(rows, "png").map(toys.Toy(), batched=True)["toy"][:]


def test_another_process_finds_the_scores_without_a_load_and_without_torch(tmp_path, log):
    first = finished(options(tmp_path, log, 6, shards=3), seed="0")
    assert toys.loads(log) == 1
    other = {"log": log, "device": "cuda:0", "micro_batch": 2}
    second = finished(options(tmp_path, log, 6, shards=3, batch_size=2, scorer=other), seed="5")
    assert toys.loads(log) == 1
    assert second == first | {"computed": 0, "reused": 3, "facts": 0}
    assert not second["torch"]


@pytest.mark.parametrize(("rows", "die_at", "shards"), [(12, 7, 4), pytest.param(40, 24, 10, marks=pytest.mark.slow)])
def test_cac_07_a_kill_costs_at_most_one_shard(tmp_path, log, rows, die_at, shards):
    killed = start(options(tmp_path, log, rows, shards=shards, batch_size=2, scorer={"log": log, "die_at": die_at}))
    assert killed.returncode == -signal.SIGKILL
    assert len(toys.calls(log)) == die_at
    again = finished(options(tmp_path, log, rows, shards=shards), seed="7")
    assert again["toy"] == numbers(rows)
    assert len(toys.calls(log)) <= rows + rows // shards
    assert set(toys.calls(log)) == set(toys.calls(log)[-rows:]) | set(toys.calls(log)[:die_at])
    assert finished(options(tmp_path, log, rows, shards=shards))["computed"] == 0


@pytest.mark.slow
def test_a_kill_of_a_stream_costs_at_most_one_shard(tmp_path, log):
    killed = start(options(tmp_path, log, 10, stream=True, scorer={"log": log, "die_at": 7}))
    assert killed.returncode == -signal.SIGKILL
    again = finished(options(tmp_path, log, 10, stream=True), seed="7")
    assert again["toy"] == numbers(10)
    assert len(toys.calls(log)) <= 10 + 2
    assert again["facts"] <= 3
    assert again["reused"] == 3
