import dataclasses
import json
import logging
import os
import pickle
import subprocess
import sys
import textwrap
import threading
from dataclasses import dataclass
from pathlib import Path

import datasets
import pytest
import toys
from datasets.fingerprint import Hasher
from toys import Settings, Toy

from hf_select.errors import HFSelectError, UsageError
from hf_select.pool.view import PoolView
from hf_select.scoring.loaded import forget_loaded
from hf_select.scoring.run import score
from hf_select.scoring.scorer import Scorer, runtime

COLUMNS = ["toy", "toy_n", "toy_status"]


@pytest.fixture(autouse=True)
def quiet():
    datasets.disable_progress_bars()
    yield
    datasets.enable_progress_bars()


def columns(dataset):
    return {name: list(dataset[name]) for name in COLUMNS}


def run(args: list[str], seed: str = "0", timeout: float = 120) -> str:
    """Run Python in its own process and return what it prints."""
    environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(toys.__file__).parent)}
    done = subprocess.run([sys.executable, *args], env=environment, capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_four_routes_give_the_same_numbers(tmp_path):
    pool = toys.pool(11)
    plain = pool.map(Toy(), batched=True, batch_size=4)
    two = pool.map(Toy(), batched=True, batch_size=3, num_proc=2)
    stream = list(pool.to_iterable_dataset(num_shards=3).map(Toy(), batched=True, batch_size=5))
    helped = score(pool, Toy(), cache_dir=tmp_path, shards=3)
    assert columns(plain) == columns(two) == columns(helped)
    assert columns(plain) == {name: [row[name] for row in stream] for name in COLUMNS}
    for dataset in (plain, two, helped):
        assert [dataset.features[name].dtype for name in COLUMNS] == ["float32", "int32", "string"]


def test_plain_map_survives_a_first_batch_without_numbers():
    pool = toys.pool(6)
    table = pool.with_format("arrow")[:].to_pylist()
    for row in table[:2]:
        row["image"] = {"bytes": b"", "path": "empty.jpg"}
    broken = datasets.Dataset.from_list(table, features=pool.features)
    scored = broken.map(Toy(), batched=True, batch_size=2)
    assert scored["toy"][:2] == [None, None]
    assert scored["toy_status"][:3] == ["image_unreadable", "image_unreadable", "ok"]
    assert scored.features["toy"].dtype == "float32"


def test_num_21_a_failed_score_is_null_with_a_status_never_a_constant():
    pool = toys.rows(3)
    pool[1]["conversations"] = [{"from": "human", "value": "And?"}]
    scored = datasets.Dataset.from_list(pool).map(Toy(), batched=True)
    assert scored["toy"][1] is None
    assert scored["toy_status"] == ["ok", "invalid", "ok"]
    assert None not in (scored["toy"][0], scored["toy"][2])


# Identity


@pytest.mark.parametrize(
    "change",
    [
        {"prefix": "x_"},
        {"scale": 0.2},
        {"limit": 5},
        {"names": ["a"]},
        {"table": {"a": 1}},
        {"nested": Settings(power=2)},
        {"nested": Settings(words=("a", "b"))},
        {"view": PoolView(task_field="t")},
    ],
)
def test_each_config_field_changes_the_fingerprint(change):
    changed = dataclasses.replace(Toy(), **change)
    assert Hasher.hash(changed) != Hasher.hash(Toy())
    assert changed.identity() != Toy().identity()


@pytest.mark.parametrize("change", [{"device": "cuda:0"}, {"micro_batch": 4}, {"log": "x"}, {"die_at": 3}])
def test_runtime_fields_do_not(change):
    changed = dataclasses.replace(Toy(), **change)
    assert Hasher.hash(changed) == Hasher.hash(Toy())
    assert changed.identity() == Toy().identity()


@dataclass(frozen=True, kw_only=True)
class Child(Toy):
    extra: int = 0
    speed: int = runtime(1)


class Renamed(Toy):
    pass


class Newer(Toy):
    scoring_version = 2


def test_a_subclass_has_its_own_identity_and_its_own_runtime_fields():
    hashes = {Hasher.hash(scorer) for scorer in (Toy(), Child(), Child(extra=1), Renamed(), Newer())}
    assert len(hashes) == 5
    assert Hasher.hash(Child(speed=2, device="cuda:1")) == Hasher.hash(Child())


def test_scoring_version_changes_the_fingerprint(monkeypatch):
    before = Hasher.hash(Toy()), Toy().identity()
    monkeypatch.setattr(Toy, "scoring_version", 2)
    assert Hasher.hash(Toy()) != before[0]
    assert json.loads(Toy().identity())["scoring_version"] == 2


SCRIPT = """
    import sys
    from dataclasses import dataclass
    from datasets.fingerprint import Hasher
    from hf_select.scoring.scorer import Scorer, runtime
    from hf_select.scoring.store import scorer_key

    @dataclass(frozen=True, kw_only=True)
    class Mine(Scorer):
        names: tuple = ("b", "a")
        weights: dict = None
        device: str = runtime("cpu")

        def __post_init__(self):
            super().__post_init__()

        @property
        def adds(self):
            return {"mine": "float32"}

        def load(self):
            return object()

        def score(self, rows):
            return {"mine": [BODY for row in rows]}

    scorer = Mine()
    first = Hasher.hash(scorer)
    scorer.loaded
    assert Hasher.hash(scorer) == first == Hasher.hash(Mine(device="cuda:0"))
    assert Hasher.hash(Mine(weights={"a": 1})) != first
    assert "torch" not in sys.modules
    print(first, scorer_key(scorer))
"""


def test_a_class_of_a_script_hashes_the_same_in_every_process_until_its_code_changes():
    script = textwrap.dedent(SCRIPT)
    one = run(["-c", script.replace("BODY", "1.0")], seed="0")
    assert run(["-c", script.replace("BODY", "1.0")], seed="5") == one
    assert set(run(["-c", script.replace("BODY", "2.0")]).split()).isdisjoint(one.split())


def test_a_scorer_stays_small_and_hashes_the_same_after_its_model_was_loaded(caplog):
    scorer = Toy(names=["a"] * 20)
    before = Hasher.hash(scorer)
    assert scorer.loaded is scorer.loaded
    with caplog.at_level(logging.WARNING):
        assert Hasher.hash(scorer) == before
        toys.pool(2).map(scorer, batched=True)
    assert "hashed properly" not in caplog.text
    assert len(pickle.dumps(scorer)) < 4096
    assert pickle.loads(pickle.dumps(scorer)) == scorer


def test_cac_05_the_mode_of_a_loaded_model_is_no_part_of_the_fingerprint():
    torch = pytest.importorskip("torch")

    class Net(Toy):
        def load(self):
            return torch.nn.Dropout()

    scorer = Net()
    before = Hasher.hash(scorer)
    scorer.loaded.train()
    assert Hasher.hash(scorer) == before
    scorer.loaded.eval()
    assert Hasher.hash(scorer) == before
    forget_loaded()


@dataclass(frozen=True, kw_only=True)
class Anything(Scorer):
    value: object = None


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (threading.Lock(), "Anything.value is a lock"),
        (lambda x: x, "Anything.value is a function"),
        (frozenset({"a"}), "Anything.value is a frozenset.*sorted list"),
        ({"a", "b"}, "Anything.value is a set"),
        (Path("x"), "Anything.value is a PosixPath"),
        (float("nan"), "must be finite"),
        ({1: 2}, "has the key 1"),
        ([{"a": {"b": (1, {2})}}], r"Anything.value\[0\]\['a'\]\['b'\]\[1\] is a set"),
        (Settings, "Anything.value is a type"),
    ],
)
def test_cac_04_a_config_value_without_a_stable_form_is_refused_at_once(value, says):
    with pytest.raises(UsageError, match=says):
        Anything(value=value)


@pytest.mark.parametrize("value", [None, True, 1, 1.5, "ü", [1, "a"], ("a", None), {"b": [1], "a": {}}, Settings()])
def test_cac_04_what_has_a_stable_form_is_allowed(value, caplog):
    assert Hasher.hash(Anything(value=value)) == Hasher.hash(Anything(value=value))
    assert "hashed properly" not in caplog.text


def test_true_one_and_one_point_zero_differ():
    assert len({Anything(value=value).identity() for value in (True, 1, 1.0, "1")}) == 4


def test_fields_without_the_dataclass_decorator_are_refused():
    class Forgot(Toy):
        more: int = 1

    with pytest.raises(UsageError, match="Forgot declares fields but is no dataclass"):
        Forgot()


# Weights behind a name


@dataclass(frozen=True, kw_only=True)
class Weighted(Toy):
    path: str = ""

    def extra_identity(self):
        return {"weights": Path(self.path).read_text()}

    def load(self):
        self.note("load")
        return float(self.resolved["weights"])

    def score(self, rows):
        return {"toy": [self.loaded] * len(rows), "toy_n": [0] * len(rows), "toy_status": ["ok"] * len(rows)}


def test_cac_01_new_weights_under_the_same_path_are_new_scores(tmp_path):
    path = tmp_path / "weights"
    path.write_text("1.5")
    scorer, pool = Weighted(path=str(path)), toys.on_disk(toys.pool(3), tmp_path / "pool")
    assert pool.map(scorer, batched=True)["toy"] == [1.5] * 3
    assert score(pool, scorer, cache_dir=tmp_path / "scores")["toy"] == [1.5] * 3
    path.write_text("2.5")
    assert pool.map(scorer, batched=True)["toy"] == [2.5] * 3
    assert score(pool, scorer, cache_dir=tmp_path / "scores")["toy"] == [2.5] * 3
    assert score(pool, Weighted(path=str(path)), cache_dir=tmp_path / "scores")["toy"] == [2.5] * 3


def test_a_copy_in_a_worker_keeps_the_weights_its_original_resolved(tmp_path):
    path = tmp_path / "weights"
    path.write_text("1.5")
    scorer = Weighted(path=str(path))
    identity = scorer.identity()
    path.write_text("2.5")
    assert pickle.loads(pickle.dumps(scorer)).identity() == identity
    assert scorer.identity() != identity


def test_a_model_is_loaded_once_for_equal_scorers(tmp_path):
    log = tmp_path / "log"
    for scorer in (Toy(log=str(log)), Toy(log=str(log)), pickle.loads(pickle.dumps(Toy(log=str(log))))):
        toys.pool(3).map(scorer, batched=True, batch_size=1)
    assert toys.loads(log) == 1
    forget_loaded()
    Toy(log=str(log)).loaded  # noqa: B018
    assert toys.loads(log) == 2


# Batches


@pytest.mark.parametrize("place", ["embedded", "path"])
@pytest.mark.parametrize("kind", sorted(toys.FORMATS))
def test_map_never_changes_the_bytes_of_an_image(kind, place, tmp_path):
    pool = toys.pool(3, kind, folder=tmp_path if place == "path" else None)
    scored = pool.map(Toy(), batched=True, batch_size=2)
    assert toys.stored(scored) == toys.stored(pool)
    assert None not in scored["toy"]
    assert toys.stored(score(pool, Toy(), cache_dir=tmp_path / "scores")) == toys.stored(pool)


@dataclass(frozen=True, kw_only=True)
class Wrong(Toy):
    gives: dict[str, list] | None = None

    def score(self, rows):
        return self.gives


@pytest.mark.parametrize(
    ("gives", "says"),
    [
        ({"toy": [1.0]}, "gave the columns"),
        ({"toy": [1.0], "toy_n": [1, 2], "toy_status": ["ok"]}, "gave 2 values of 'toy_n' for 1 rows"),
    ],
)
def test_other_columns_or_lengths_than_promised_are_an_error(gives, says):
    with pytest.raises(HFSelectError, match=says):
        Wrong(gives=gives)({name: [value] for name, value in toys.rows(1)[0].items()})


@pytest.mark.parametrize("streaming", [False, True])
def test_a_single_row_gets_a_sentence(streaming):
    pool = toys.pool(2).to_iterable_dataset() if streaming else toys.pool(2)
    with pytest.raises(UsageError, match="batched=True"):
        list(pool.map(Toy()))


# Processes


AFTER_TORCH = """
import multiprocessing
import sys

import multiprocess
import torch
import toys
from hf_select.scoring.run import score


class Net(toys.Toy):
    def load(self):
        return torch.nn.Linear(400, 400)

    def score(self, rows):
        with torch.no_grad():
            value = float(self.loaded(torch.ones(400, 400)).shape[0])
        return {"toy": [value] * len(rows), "toy_n": [0] * len(rows), "toy_status": ["ok"] * len(rows)}


if __name__ == "__main__":
    for library in (multiprocessing, multiprocess):
        library.set_start_method(sys.argv[1])
    torch.set_num_threads(2)
    (torch.ones(500, 500) @ torch.ones(500, 500)).sum()
    pool = toys.pool(4)
    assert pool.map(Net(), batched=True, batch_size=2, num_proc=2)["toy"] == [400.0] * 4
    assert score(pool, Net(), shards=2, num_proc=2, cache_dir=sys.argv[2])["toy"] == [400.0] * 4
    print("done")
"""


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_finish_after_the_parent_used_torch_with_threads(method, tmp_path):
    pytest.importorskip("torch")
    script = tmp_path / "script.py"
    script.write_text(AFTER_TORCH)
    assert run([str(script), method, str(tmp_path / "scores")], timeout=300) == "done"
