import pyarrow as pa
import pytest
import toys
from hypothesis import given
from hypothesis import strategies as st

from hf_select.errors import HFSelectError, UnknownName, UsageError
from hf_select.pool.view import PoolView
from hf_select.scoring.shards import MAX_SHARDS, Shard, content_digest, place_digest, plan, score_shards


@given(st.integers(0, 700_000), st.none() | st.integers(1, 2000))
def test_num_17_shards_cover_every_row_once_in_order(rows, shards):
    cut = plan(rows, shards)
    assert [shard.start for shard in cut] == [0, *(shard.stop for shard in cut)][: len(cut)]
    assert (cut[-1].stop if cut else 0) == rows
    sizes = {shard.rows for shard in cut}
    assert not cut or (min(sizes) > 0 and max(sizes) - min(sizes) <= 1)
    assert len(cut) <= (MAX_SHARDS if shards is None else shards)


@pytest.mark.parametrize(("rows", "count"), [(0, 0), (1, 1), (128, 1), (129, 2), (7671, 60), (665_000, 64)])
def test_the_default_cut_depends_on_the_number_of_rows_only(rows, count):
    assert len(plan(rows)) == count


def test_shards_have_names_people_count_by():
    assert [shard.label for shard in plan(5, 3)] == ["shard 1 of 3", "shard 2 of 3", "shard 3 of 3"]


def test_a_number_of_shards_below_one_is_refused():
    with pytest.raises(UsageError, match="shards is 0"):
        plan(5, 0)


def facts(**changes):
    columns = {
        "row_key": ["a", "b"], "row_task": ["t", None], "row_status": ["ok", "ok"], "row_reason": ["", ""],
        "row_images": [1, 1],
    }  # fmt: skip
    return pa.table(columns | changes)


def test_the_content_of_rows_names_them():
    names = {
        content_digest(facts()),
        content_digest(facts(row_key=["b", "a"])),
        content_digest(facts(row_task=[None, "t"])),
        content_digest(facts(row_status=["ok", "invalid"])),
        content_digest(facts().slice(0, 1)),
        place_digest("x", Shard(0, 2, "")),
        place_digest("x", Shard(0, 1, "")),
        place_digest("y", Shard(0, 2, "")),
    }
    assert len(names) == 8
    assert content_digest(facts(row_images=[2, 2])) == content_digest(facts())


@pytest.mark.parametrize("num_proc", [None, 1, 3])
def test_num_17_22_rows_on_3_processes_give_22_results_each_row_once(num_proc, tmp_path):
    pool = toys.pool(22)
    moved = []
    found = dict(score_shards(pool, toys.Toy(), plan(22, 8), batch_size=8, num_proc=num_proc, moved=moved.append))
    numbers = [n for shard in sorted(found) for n in found[shard]["toy_n"].to_pylist()]
    assert numbers == pool.map(toys.Toy(), batched=True)["toy_n"][:]
    assert sum(moved) == 22


class Dies(toys.Toy):
    def score(self, rows):
        import os
        import signal

        os.kill(os.getpid(), signal.SIGKILL)


class Complains(toys.Toy):
    def score(self, rows):
        raise UnknownName("colour", "rde", ["red", "blue"])


def test_a_process_that_dies_is_an_error_not_a_hang():
    with pytest.raises(HFSelectError, match="a process that ran Dies died"):
        list(score_shards(toys.pool(4), Dies(), plan(4, 2), batch_size=8, num_proc=2, moved=lambda rows: None))


def test_an_error_in_a_process_keeps_its_sentence():
    with pytest.raises(UsageError, match="Did you mean 'red'"):
        list(score_shards(toys.pool(4), Complains(), plan(4, 2), batch_size=8, num_proc=2, moved=lambda rows: None))


def test_a_wrong_view_is_an_error_with_its_sentence():
    scorer = toys.Toy(view=PoolView(task_field="tsk"))
    with pytest.raises(UnknownName, match="task field 'tsk'"):
        list(score_shards(toys.pool(2), scorer, plan(2, 1), batch_size=8, num_proc=None, moved=lambda rows: None))
