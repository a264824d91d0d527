from dataclasses import dataclass

import datasets
import pytest
import toys
from toys import Toy, calls

from hf_select.errors import UsageError
from hf_select.pool.view import PoolView
from hf_select.scoring import stream as module
from hf_select.scoring.row_facts import RowFacts
from hf_select.scoring.run import ScoreStats, score
from hf_select.scoring.scorer import runtime


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(module, "SHARD_ROWS", 4)
    datasets.disable_progress_bars()
    yield
    datasets.enable_progress_bars()


@pytest.fixture
def log(tmp_path):
    (tmp_path / "log").touch()
    return str(tmp_path / "log")


class Stop(Exception):
    pass


@dataclass(frozen=True, kw_only=True)
class Breaks(Toy):
    """Stops at a certain row."""

    stop_at: int | None = runtime(None)

    def note(self, line):
        super().note(line)
        if self.stop_at is not None and len(calls(self.log)) == self.stop_at:
            raise Stop


def watch(row, path):
    with open(path, "a") as file:
        file.write("x")
    return row


def test_a_stream_gives_the_numbers_of_the_dataset(tmp_path, log):
    pool = toys.pool(11)
    there = score(pool, Toy(), cache_dir=tmp_path / "a")
    stream = pool.to_iterable_dataset(num_shards=3)
    here = score(stream, Toy(log=log), cache_dir=tmp_path / "b", batch_size=3)
    assert here.column_names == [*RowFacts().adds, "toy", "toy_n", "toy_status"]
    for name in here.column_names:
        assert here[name][:] == there[name][:]
    assert [row["id"] for row in stream] == pool["id"][:]
    assert not list((tmp_path / "b" / "streams").iterdir())
    stats = ScoreStats()
    again = score(pool.to_iterable_dataset(num_shards=3), Toy(log=log), cache_dir=tmp_path / "b", stats=stats)
    assert again["toy"][:] == there["toy"][:]
    assert (stats.computed, stats.reused, stats.rows) == (0, 3, 11)
    assert len(calls(log)) == 11


def test_a_stopped_stream_goes_on_where_it_stood(tmp_path, log):
    pool = toys.pool(14)
    seen = tmp_path / "seen"

    def stream():
        return pool.to_iterable_dataset(num_shards=3).map(watch, fn_kwargs={"path": str(seen)})

    with pytest.raises(Stop):
        score(stream(), Breaks(log=log, stop_at=9), cache_dir=tmp_path)
    assert len(list((tmp_path / "streams").iterdir())) == 1
    assert seen.stat().st_size == 12
    stats = ScoreStats()
    scored = score(stream(), Breaks(log=log), cache_dir=tmp_path, stats=stats)
    assert scored["toy"][:] == pool.map(Toy(), batched=True)["toy"][:]
    assert len(calls(log)) <= 14 + 4
    assert seen.stat().st_size <= 12 + 6 + 1
    assert (stats.computed, stats.reused) == (2, 2)
    assert not list((tmp_path / "streams").iterdir())


def test_a_lost_shard_or_another_stream_starts_from_the_first_row(tmp_path, log):
    pool = toys.pool(10)
    with pytest.raises(Stop):
        score(pool.to_iterable_dataset(), Breaks(log=log, stop_at=9), cache_dir=tmp_path)
    other = score(pool.select(range(2, 10)).to_iterable_dataset(), Toy(), cache_dir=tmp_path)
    assert other["toy_n"][:] == pool.map(Toy(), batched=True)["toy_n"][2:]
    next(tmp_path.glob("Breaks-*/*.arrow")).unlink()
    scored = score(pool.to_iterable_dataset(), Breaks(log=log), cache_dir=tmp_path)
    assert scored["toy_n"][:] == pool.map(Toy(), batched=True)["toy_n"][:]


def test_a_stream_of_examples_without_features(tmp_path):
    def examples():
        for at, row in enumerate(toys.rows(9)):
            if at % 2:
                del row["image"]
            yield row

    scored = score(datasets.IterableDataset.from_generator(examples), Toy(), cache_dir=tmp_path)
    assert scored["row_status"][:] == ["ok"] * 9
    assert None not in scored["toy"][:]


def test_cac_06_an_empty_stream_has_the_columns(tmp_path):
    empty = toys.pool(2).to_iterable_dataset().filter(lambda row: False)
    scored = score(empty, Toy(), cache_dir=tmp_path)
    assert len(scored) == 0
    assert scored.features["toy"].dtype == "float32"
    assert scored.column_names[0] == "row_key"


def test_different_views_are_refused(tmp_path):
    with pytest.raises(UsageError, match="different views"):
        stream = toys.pool(2).to_iterable_dataset()
        score(stream, Toy(), Toy(prefix="b_", view=PoolView(schema="llava")), cache_dir=tmp_path)


def test_without_caching_nothing_is_kept(tmp_path):
    datasets.disable_caching()
    try:
        scored = score(toys.pool(6).to_iterable_dataset(), Toy(), cache_dir=tmp_path)
    finally:
        datasets.enable_caching()
    assert len(scored) == 6
    assert not list(tmp_path.iterdir())
