import json

import datasets
import pyarrow as pa
import pytest
from toys import Toy

from hf_select.errors import HFSelectError
from hf_select.scoring.store import ScoreStore, default_scores_dir, scorer_key


def table(store, rows=2):
    return pa.table({"toy": [1.5] * rows, "toy_n": [1] * rows, "toy_status": ["ok"] * rows}, schema=store.schema)


def test_the_default_place_is_in_the_cache_of_datasets():
    assert str(default_scores_dir()) == f"{datasets.config.HF_DATASETS_CACHE}/hf_select/scores"


def test_layout(tmp_path):
    store = ScoreStore(Toy(), tmp_path)
    store.write("d" * 32, table(store), 2, "shard 1 of 1")
    folder = tmp_path / f"Toy-{scorer_key(Toy())}"
    assert sorted(path.name for path in folder.iterdir()) == ["d" * 32 + ".arrow", "identity.json"]
    assert json.loads((folder / "identity.json").read_text()) == json.loads(Toy().identity())


def test_what_was_written_is_read_with_the_same_fingerprint(tmp_path):
    store = ScoreStore(Toy(), tmp_path)
    written = store.write("d" * 32, table(store), 2, "shard 1 of 1")
    found = ScoreStore(Toy(device="cuda"), tmp_path).read("d" * 32, 2, "shard 1 of 1")
    assert found[:] == written[:] == {"toy": [1.5, 1.5], "toy_n": [1, 1], "toy_status": ["ok", "ok"]}
    assert found._fingerprint == written._fingerprint
    assert found.features["toy"].dtype == "float32"


def test_nothing_is_there_for_other_rows_or_another_scorer(tmp_path):
    store = ScoreStore(Toy(), tmp_path)
    store.write("d" * 32, table(store), 2, "shard 1 of 1")
    assert store.read("e" * 32, 2, "shard 1 of 1") is None
    assert ScoreStore(Toy(scale=2.0), tmp_path).read("d" * 32, 2, "shard 1 of 1") is None


def test_num_19_a_short_shard_is_an_error_that_names_it(tmp_path):
    store = ScoreStore(Toy(), tmp_path)
    with pytest.raises(HFSelectError, match=r"shard 2 of 3 of Toy came out with 1 rows instead of 2"):
        store.write("d" * 32, table(store, 1), 2, "shard 2 of 3")
    store.write("d" * 32, table(store, 1), 1, "shard 2 of 3")
    with pytest.raises(HFSelectError, match=r"shard 2 of 3 of Toy has 1 rows instead of 2: delete .*\.arrow"):
        store.read("d" * 32, 2, "shard 2 of 3")


@pytest.mark.parametrize("damage", [b"", b"no arrow", None])
def test_a_damaged_file_is_scored_again_and_said(tmp_path, caplog, damage):
    store = ScoreStore(Toy(), tmp_path)
    store.write("d" * 32, table(store), 2, "shard 1 of 1")
    path = next(tmp_path.glob("*/*.arrow"))
    path.write_bytes(path.read_bytes()[:90] if damage is None else damage)
    assert store.read("d" * 32, 2, "shard 1 of 1") is None
    assert "shard 1 of 1 of Toy can't be read and is scored again" in caplog.text


def test_a_full_disk_leaves_nothing_behind(tmp_path, monkeypatch):
    store = ScoreStore(Toy(), tmp_path)
    store.write("c" * 32, table(store), 2, "shard 1 of 2")

    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="No space"):
        store.write("d" * 32, table(store), 2, "shard 2 of 2")
    assert [path.name for path in tmp_path.glob("*/*") if path.name.endswith(".tmp")] == []
    assert len(list(tmp_path.glob("*/*.arrow"))) == 1


def test_without_a_folder_nothing_is_kept(tmp_path):
    store = ScoreStore(Toy(), None)
    assert store.write("d" * 32, table(store), 2, "shard 1 of 1")["toy_n"][:] == [1, 1]
    assert store.read("d" * 32, 2, "shard 1 of 1") is None
    assert list(tmp_path.iterdir()) == []
