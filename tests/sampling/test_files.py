import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_select import Selection
from hf_select.errors import UsageError
from hf_select.sampling.selection import Quota, selection_table


def selection(groups=("a", "b"), **about):
    n = len(groups)
    table = selection_table([f"k{i}" for i in range(n)], list(groups), np.array([0.1, np.nan])[:n], ["top"] * n)
    quotas = [Quota(group, 3, 0.1 + 0.2, 1, 1) for group in groups]
    return Selection(table, quotas, **about)


def test_what_is_saved_is_what_is_loaded(tmp_path):
    recipe = {"budget": "15%", "seed": 0, "alpha": 0.1 + 0.2, "tiny": 1e-300, "big": 2**70, "none": None, "on": True}
    picked = selection(recipe=recipe, notes=["2 short: …"], rejected={"no score": 2})
    folder = picked.save(tmp_path / "runs" / "s")
    assert sorted(os.listdir(folder)) == ["recipe.yaml", "selection.parquet"]
    loaded = Selection.load(folder)
    assert loaded == picked and loaded.recipe == recipe
    assert yaml.safe_load((folder / "recipe.yaml").read_text())["rejected"] == {"no score": 2}
    selection(groups=("c",)).save(folder)
    assert Selection.load(folder).quotas[0].group == "c"


hostile = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@settings(deadline=None, max_examples=120)
@given(group=hostile, note=hostile, number=st.floats(allow_nan=False, allow_infinity=False))
def test_any_text_and_number_survives(tmp_path_factory, group, note, number):
    picked = selection(groups=(group,), notes=[note], recipe={group: number, "list": [note, number]})
    folder = picked.save(tmp_path_factory.mktemp("s"))
    assert Selection.load(folder) == picked


@pytest.mark.parametrize(
    "text", ["yes", "007", "1e3", "2024-01-01", "null", "~", "0o7", "- a", "a: b", "!!python/x", "\x85"]
)
def test_sch_20_text_that_looks_like_yaml_stays_text(tmp_path, text):
    loaded = Selection.load(selection(groups=(text,), recipe={"task": text}).save(tmp_path))
    assert loaded.quotas[0].group == text and loaded.recipe == {"task": text}


def test_values_that_are_not_plain_are_refused(tmp_path):
    with pytest.raises(UsageError, match="plain values"):
        selection(recipe={"x": object()}).save(tmp_path)
    assert os.listdir(tmp_path) == []


def edit(folder, **changes):
    about = yaml.safe_load((folder / "recipe.yaml").read_text())
    about.update(changes)
    (folder / "recipe.yaml").write_text(yaml.safe_dump({k: v for k, v in about.items() if v is not ...}))


def rewrite(folder, change):
    path = folder / "selection.parquet"
    pq.write_table(change(pq.read_table(path)), path)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda f: (f / "recipe.yaml").unlink(), "no saved selection: it has no recipe.yaml"),
        (lambda f: (f / "selection.parquet").unlink(), "it has no selection.parquet"),
        (lambda f: (f / "recipe.yaml").write_text("a: [1"), "isn't YAML"),
        (lambda f: (f / "recipe.yaml").write_text("!!python/object/apply:os.getcwd []"), "isn't YAML of plain values"),
        (lambda f: (f / "recipe.yaml").write_text("just text"), "holds no mapping"),
        (lambda f: (f / "selection.parquet").write_bytes(b"PAR1 not"), "isn't a parquet file"),
        (lambda f: edit(f, format=2), "format 2"),
        (lambda f: edit(f, quotas=...), "no 'quotas'"),
        (lambda f: edit(f, quotas=[{"grp": "a"}]), "quota of another layout"),
        (lambda f: edit(f, rows=5), "don't belong together"),
        (lambda f: rewrite(f, lambda t: t.slice(0, 1)), "don't belong together"),
        (lambda f: rewrite(f, lambda t: t.drop_columns(["group"])), "a selection has the columns key string"),
        (
            lambda f: rewrite(f, lambda t: t.set_column(1, "rank", pa.array(["0", "1"]))),
            "found key string, rank string",
        ),
        (lambda f: rewrite(f, lambda t: t.set_column(0, "key", pa.array(["a", "a"]))), "more than once"),
    ],
)
def test_damage_is_one_sentence(tmp_path, damage, says):
    selection().save(tmp_path)
    damage(tmp_path)
    with pytest.raises(UsageError, match=says) as caught:
        Selection.load(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_failed_save_leaves_the_old_files(tmp_path, monkeypatch):
    picked = selection()
    picked.save(tmp_path)

    def full(*args, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(OSError, match="disk full"):
        selection(groups=("z",)).save(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["recipe.yaml", "selection.parquet"]
    monkeypatch.undo()
    assert Selection.load(tmp_path) == picked
