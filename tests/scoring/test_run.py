import datasets
import pytest
import toys
from toys import Toy, calls

from hf_select.errors import HFSelectError, UsageError
from hf_select.pool.read import read_pool
from hf_select.pool.view import PoolView
from hf_select.scoring.row_facts import RowFacts
from hf_select.scoring.run import ScoreStats, score, score_columns

FACTS = list(RowFacts().adds)
TOY = ["toy", "toy_n", "toy_status"]


@pytest.fixture(autouse=True)
def quiet():
    datasets.disable_progress_bars()
    yield
    datasets.enable_progress_bars()


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "log"
    path.touch()
    return str(path)


@pytest.fixture
def scores(tmp_path):
    return tmp_path / "scores"


def size(folder) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_the_pool_comes_back_with_the_columns_row_for_row(scores):
    pool = toys.pool(9)
    scored = score(pool, Toy(), cache_dir=scores, shards=2)
    assert scored.column_names == [*pool.column_names, *FACTS, *TOY]
    assert scored["id"][:] == pool["id"][:]
    assert scored["toy_n"][:] == pool.map(Toy(), batched=True)["toy_n"][:]
    assert scored.features["image"] == pool.features["image"]
    assert scored[0]["image"].size == pool[0]["image"].size


def test_the_columns_alone(scores):
    columns = score_columns(toys.pool(5), Toy(), cache_dir=scores)
    assert columns.column_names == [*FACTS, *TOY]
    assert columns["toy_n"][:] == score(toys.pool(5), Toy(), cache_dir=scores)["toy_n"][:]


def test_a_second_call_finds_everything_whatever_runs_differently(scores, log, tmp_path):
    pool = toys.on_disk(toys.pool(12), tmp_path / "pool")
    first = score(pool, Toy(log=log), cache_dir=scores, shards=4)
    assert len(calls(log)) == 12
    for scorer, options in (
        (Toy(log=log), {}),
        (Toy(log=log, device="cuda:0", micro_batch=3), {"batch_size": 5}),
        (Toy(log=log), {"num_proc": 2}),
        (Toy(log=log), {"batch_size": 1, "num_proc": 2, "progress": False}),
    ):
        stats = ScoreStats()
        again = score(pool, scorer, cache_dir=scores, shards=4, stats=stats, **options)
        assert again[:].keys() == first[:].keys()
        assert again["toy"][:] == first["toy"][:]
        assert again._fingerprint == first._fingerprint
        assert (stats.computed, stats.reused) == (0, 4)
    assert len(calls(log)) == 12
    score(pool, Toy(log=log, scale=0.5), cache_dir=scores, shards=4)
    assert len(calls(log)) == 24


def test_processes_give_the_same_numbers(scores, tmp_path):
    pool = toys.pool(20)
    one = score(pool, Toy(), cache_dir=scores / "1", shards=5)
    two = score(pool, Toy(), cache_dir=scores / "2", shards=5, num_proc=2)
    assert one["toy"][:] == two["toy"][:]
    assert one["row_key"][:] == two["row_key"][:]


def test_the_same_rows_elsewhere_find_their_scores(scores, log, tmp_path):
    """What a README commit, a moved file or a new mtime look like: another fingerprint, the same rows."""
    one = toys.on_disk(toys.pool(8), tmp_path / "one")
    two = datasets.Dataset(one._data, info=one.info, fingerprint="after-a-commit")
    assert one._fingerprint != two._fingerprint
    score(one, Toy(log=log), cache_dir=scores)
    score(two, Toy(log=log), cache_dir=scores)
    assert len(calls(log)) == 8
    score(two.map(lambda row: {"id": row["id"] + "x"}), Toy(log=log), cache_dir=scores)
    assert len(calls(log)) == 8


def test_a_pool_in_memory_is_cached_by_its_content(scores, log):
    for _ in range(2):
        score(datasets.Dataset.from_list(toys.rows(6)), Toy(log=log), cache_dir=scores)
    assert len(calls(log)) == 6
    score(datasets.Dataset.from_list(toys.rows(7)), Toy(log=log), cache_dir=scores)
    assert len(calls(log)) == 13


def test_the_cache_holds_no_image(scores, tmp_path):
    import numpy as np
    import pictures
    from PIL import Image

    noise = np.random.RandomState(0).randint(0, 256, (24, 200, 200, 3), dtype=np.uint8)
    table = [row | {"image": {"bytes": pictures.encoded(Image.fromarray(noise[at])), "path": None}}
             for at, row in enumerate(toys.rows(24, lambda at: at))]  # fmt: skip
    pool = toys.on_disk(datasets.Dataset.from_list(table).cast_column("image", datasets.Image()), tmp_path / "pool")
    images = size(tmp_path / "pool")
    scored = score(pool, Toy(), cache_dir=scores, shards=2)
    assert size(tmp_path / "pool") == images
    assert size(scores) < images / 100
    picked = scored.filter(lambda n: n % 2 == 0, input_columns="toy_n")
    score(picked, Toy(prefix="b_"), cache_dir=scores, shards=2)
    assert size(scores) < images / 100


# Selections


@pytest.mark.parametrize("indices", [[5, 2, 9], [3, 3, 0], list(range(11, -1, -1)), [7], range(4, 9), list(range(12))])
def test_a_selection_is_scored_where_it_stands(indices, scores, log, tmp_path):
    pool = toys.on_disk(toys.pool(12), tmp_path / "pool")
    expected = pool.map(Toy(), batched=True)["toy"][:]
    picked = pool.select(indices)
    files = size(tmp_path / "pool")
    scored = score(picked, Toy(log=log), cache_dir=scores, shards=2)
    assert scored["toy"][:] == [expected[i] for i in indices]
    assert scored["id"][:] == picked["id"][:]
    assert scored.column_names == [*pool.column_names, *FACTS, *TOY]
    assert len(calls(log)) == len(indices)
    assert toys.stored(scored) == toys.stored(picked)
    assert size(tmp_path / "pool") == files
    assert scored._data.num_rows <= max(pool.num_rows, len(indices))


def test_a_selection_of_a_scored_pool_can_be_scored_again(scores):
    scored = score(toys.pool(10), Toy(), cache_dir=scores)
    picked = scored.shuffle(seed=3).select(range(4))
    twice = score(picked, Toy(prefix="b_", scale=1.0), cache_dir=scores)
    assert twice.column_names == [*scored.column_names, "b_toy", "b_toy_n", "b_toy_status"]
    assert twice["b_toy_n"][:] == twice["toy_n"][:]
    columns = score_columns(picked, Toy(prefix="b_", scale=1.0), cache_dir=scores)
    assert columns["row_key"][:] == picked["row_key"][:]
    assert columns["b_toy_n"][:] == twice["toy_n"][:]


def test_the_fingerprint_of_a_scored_selection_is_stable(scores):
    picked = toys.pool(10).select([4, 1])
    assert score(picked, Toy(), cache_dir=scores)._fingerprint == score(picked, Toy(), cache_dir=scores)._fingerprint


# Edges


@pytest.mark.parametrize("empty", [lambda p: p.select([]), lambda p: p.filter(lambda row: False)])
def test_cac_06_an_empty_pool_has_the_columns_with_their_types(empty, scores):
    pool = toys.pool(3)
    scored = score(empty(pool), Toy(), cache_dir=scores)
    assert len(scored) == 0
    full = score(pool, Toy(), cache_dir=scores)
    assert scored.features == full.features
    assert score_columns(empty(pool), Toy(), cache_dir=scores).column_names == [*FACTS, *TOY]


def test_bad_rows_come_out_with_nulls_a_status_and_a_line_in_the_log(scores, caplog):
    table = toys.rows(4)
    table[1]["image"] = "nowhere.png"
    table[1]["conversations"][0]["value"] = "<image>\nWhat?"
    table[2]["conversations"] = []
    stats = ScoreStats()
    scored = score(datasets.Dataset.from_list(table), Toy(), cache_dir=scores, stats=stats)
    assert len(scored) == 4
    assert scored["row_status"][:] == scored["toy_status"][:] == ["ok", "image_missing", "invalid", "ok"]
    assert scored["toy"][1:3] == scored["toy_n"][1:3] == [None, None]
    assert "nowhere.png" in scored["row_reason"][1]
    assert "1 image_missing" in caplog.text
    assert stats.scorers[1].statuses == {"toy_status": {"ok": 2, "image_missing": 1, "invalid": 1}}


def test_a_picture_that_was_missing_is_looked_for_again(scores, tmp_path):
    path = tmp_path / "late.jpg"
    table = [{"id": "a", "image": str(path), "conversations": toys.rows(1, lambda at: at)[0]["conversations"]}]
    pool = datasets.Dataset.from_list(table)
    assert score(pool, Toy(), cache_dir=scores)["toy"][:] == [None]
    path.write_bytes(toys.FORMATS["jpeg"](0)[1])
    assert score(pool, Toy(), cache_dir=scores)["toy_status"][:] == ["ok"]


def test_cac_02_a_changed_picture_of_a_dataset_of_ones_own_is_seen_without_caching(scores, tmp_path):
    path = tmp_path / "a.png"
    pool = datasets.Dataset.from_list(toys.rows(1, lambda at: str(path)))
    import pictures

    path.write_bytes(pictures.plain((0, 0, 0)))
    black = score(pool, Toy(), cache_dir=scores)["toy"][0]
    path.write_bytes(pictures.plain((250, 0, 0)))
    datasets.disable_caching()
    try:
        assert score(pool, Toy(), cache_dir=scores)["toy"][0] == pytest.approx(black + 250)
    finally:
        datasets.enable_caching()
    assert score(pool, Toy(), cache_dir=tmp_path / "fresh")["toy"][0] == pytest.approx(black + 250)


def test_cac_02_a_changed_picture_is_seen_when_the_pool_is_read_by_read_pool(scores, tmp_path):
    import json

    import pictures

    path, file = tmp_path / "a.png", tmp_path / "pool.json"
    path.write_bytes(pictures.plain((0, 0, 0)))
    file.write_text(json.dumps(toys.rows(1, lambda at: "a.png")))
    black = score(read_pool(str(file)), Toy(), cache_dir=scores)["toy"][0]
    path.write_bytes(pictures.plain((250, 0, 0)))
    assert score(read_pool(str(file)), Toy(), cache_dir=scores)["toy"][0] == pytest.approx(black + 250)


def test_num_19_a_short_shard_in_the_cache_is_named(scores):
    pool = toys.pool(6)
    score(pool, Toy(), cache_dir=scores, shards=3)
    short = score(pool.select(range(1)), Toy(), cache_dir=scores)
    assert len(short) == 1
    folder = next(scores.glob("Toy-*"))
    by_size = sorted(folder.glob("*.arrow"), key=lambda path: len(datasets.Dataset.from_file(str(path))))
    for path in by_size[1:]:
        path.write_bytes(by_size[0].read_bytes())
    with pytest.raises(HFSelectError, match=r"shard 1 of 3 of Toy has 1 rows instead of 2"):
        score(pool, Toy(), cache_dir=scores, shards=3)


def test_num_19_a_missing_shard_is_scored_again_and_nothing_moves(scores, log):
    pool = toys.pool(6)
    before = score(pool, Toy(log=log), cache_dir=scores, shards=3)["toy"][:]
    next(scores.glob("Toy-*/*.arrow")).unlink()
    assert score(pool, Toy(log=log), cache_dir=scores, shards=3)["toy"][:] == before
    assert len(calls(log)) == 8


def test_num_18_no_order_of_file_names_matters(scores):
    pool = toys.pool(24)
    scored = score(pool, Toy(), cache_dir=scores, shards=12)
    assert scored["toy_n"][:] == pool.map(Toy(), batched=True)["toy_n"][:]
    assert len(list(scores.glob("Toy-*/*.arrow"))) == 12


def test_two_scorers_and_two_views(scores):
    table = [row | {"kind": f"k{at % 2}"} for at, row in enumerate(toys.rows(4))]
    pool = datasets.Dataset.from_list(table)
    view = PoolView(task_field="kind")
    scored = score(pool, Toy(), Toy(prefix="b_", scale=1.0), view=view, cache_dir=scores)
    assert scored["row_task"][:] == ["k0", "k1", "k0", "k1"]
    assert scored["b_toy"][:] == [float(n) for n in scored["toy_n"]]
    mixed = score(pool, Toy(), Toy(prefix="b_", view=view), cache_dir=scores)
    assert mixed["b_toy"][:] == mixed["toy"][:]
    assert mixed["row_task"][:] == [None] * 4


def test_columns_that_exist_are_refused(scores):
    scored = score(toys.pool(3), Toy(), cache_dir=scores)
    with pytest.raises(UsageError, match="Toy adds toy, toy_n, toy_status, which is there already"):
        score(scored, Toy(), cache_dir=scores)
    with pytest.raises(UsageError, match="another prefix"):
        score(toys.pool(3), Toy(), Toy(scale=2.0), cache_dir=scores)
    with pytest.raises(UsageError, match="has the columns row_key but not the rest"):
        score(toys.pool(3).add_column("row_key", ["a", "b", "c"]), Toy(), cache_dir=scores)


def test_what_is_no_single_dataset_is_refused(scores):
    with pytest.raises(UsageError, match="not a DatasetDict: give one split"):
        score(datasets.DatasetDict(train=toys.pool(2)), Toy(), cache_dir=scores)


def test_an_unknown_schema_is_one_sentence(scores):
    with pytest.raises(UsageError, match="foo"):
        score(datasets.Dataset.from_dict({"foo": [1, 2]}), Toy(), cache_dir=scores)


def test_format_split_and_info_are_kept(scores):
    pool = datasets.Dataset.from_list(toys.rows(4), split="train").with_format("numpy")
    for one in (pool, pool.select([2, 0])):
        scored = score(one, Toy(), cache_dir=scores)
        assert scored.split == "train"
        assert scored.format["type"] == "numpy"
        assert type(scored[0]["toy"]).__name__ == "float32"


def test_progress_is_one_bar_a_scorer_on_stderr_and_follows_the_switch(scores, capfd):
    pool = toys.pool(6)
    datasets.enable_progress_bars()
    score(pool, Toy(), cache_dir=scores / "1", shards=3)
    out, err = capfd.readouterr()
    assert out == ""
    assert "RowFacts: 100%" in err
    assert "Toy: 100%" in err
    assert "6/6" in err
    assert "rows/s" in err
    assert "Map" not in err
    score(pool, Toy(), cache_dir=scores / "1", shards=3)
    assert capfd.readouterr().err == ""
    score(pool, Toy(), cache_dir=scores / "2", progress=False)
    datasets.disable_progress_bars()
    score(pool, Toy(), cache_dir=scores / "3")
    assert capfd.readouterr().err == ""


def test_stats_say_what_was_done(scores):
    stats = ScoreStats()
    score(toys.pool(6), Toy(), cache_dir=scores, shards=3, stats=stats)
    assert stats.rows == 6
    assert [part.name for part in stats.scorers] == ["RowFacts", "Toy"]
    assert (stats.computed, stats.reused) == (3, 0)
    assert "Toy: 3 shards, 0 from the cache, 6 rows scored" in stats.render()
    assert "toy_status: 6 ok" in stats.render()
