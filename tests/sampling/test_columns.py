import pickle

import numpy as np
import pictures
import pyarrow as pa
import pytest
from datasets import Dataset, Features, Image, Value

from hf_select import GroupedSampler, Top, Uniform
from hf_select.errors import UsageError
from hf_select.sampling.columns import ScoredRows


def test_a_dataset_with_broken_pictures_gives_the_same_as_its_columns():
    rows = {
        "image": [{"bytes": b"broken", "path": None}] * 5 + [{"bytes": pictures.plain("red"), "path": None}],
        "row_key": list("fedcba"),
        "row_task": ["x", "y"] * 3,
        "score": [1.0, 2.0, None, 4.0, 5.0, 6.0],
    }
    kinds = {"row_key": Value("string"), "row_task": Value("string"), "score": Value("float32")}
    pool = Dataset.from_dict(rows, features=Features(image=Image(), **kinds))
    turned = pool.select([5, 0, 4, 1, 3, 2])
    for sampler in (
        Top(score="score", group="row_task"),
        Uniform(stratify="row_task"),
        GroupedSampler(score="score", bins=2),
    ):
        plain = sampler.select(pool.remove_columns("image").with_format("arrow")[:], 3)
        assert sampler.select(pool, 3) == sampler.select(turned, 3) == plain
        assert pickle.loads(pickle.dumps(sampler)) == sampler


def test_rows_come_in_address_order_with_their_copies():
    rows = ScoredRows.read(pa.table({"row_key": ["b", "a", "b", "b"], "n": [0, 1, 2, 3]}), ["n"])
    assert rows.address_list == ["a", "b", "b+2", "b+3"]
    assert rows.table.column("n").to_pylist() == [1, 0, 2, 3]
    assert rows.copy.tolist() == [0, 1, 1, 1]


def test_labels_of_any_plain_type():
    table = pa.table({"row_key": ["a", "b", "c"], "level": [10, None, 9], "tags": [["x"], [], []]})
    codes, names, unlabelled = ScoredRows.read(table, ["level"]).labels("level")
    assert [names[code] for code in codes] == ["10", "(no level)", "9"] and unlabelled == 1
    with pytest.raises(UsageError, match="one label a row"):
        Uniform(stratify="tags").select(table, 1)


def test_columns_of_all_nulls_are_columns_without_a_value():
    table = pa.table({"row_key": ["a", "b"], "row_task": pa.nulls(2), "score": pa.nulls(2), "row_status": pa.nulls(2)})
    rows = ScoredRows.read(table, ["row_task"], score="score")
    assert np.isnan(rows.scores("score")[0]).all()
    assert rows.labels("row_task")[1:] == (["(no task)"], 2)
    picked = Uniform().select(table, 2)
    assert len(picked) == 0 and picked.rejected == {"no status": 2}
