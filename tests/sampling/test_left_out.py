import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hf_select.errors import UsageError
from hf_select.sampling.left_out import LEFT_OUT_FILE, mark_left_out, read_left_out
from hf_select.sampling.ranked import Top


def test_marked_rows_are_never_chosen_and_counted_by_their_reason(scored):
    table = scored([5.0, 4.0, 3.0, 2.0], keys=["a", "a", "b", "c"], row_reason=pa.array([""] * 4))
    marked = mark_left_out(table, {"a+2": "overlaps docs: same file", "b": "overlaps docs: near picture"})
    picked = Top(score="score").select(marked, 4)
    assert picked.keys == ("a", "c")
    assert picked.rejected == {"overlaps docs: near picture": 1, "overlaps docs: same file": 1}
    assert marked["row_reason"].to_pylist() == ["", "overlaps docs: same file", "overlaps docs: near picture", ""]
    assert marked.column_names == table.column_names


def test_a_row_that_cannot_be_used_keeps_its_own_status(scored):
    table = scored([1.0, 2.0], keys=["a", "b"], statuses=["image_missing", "ok"])
    assert mark_left_out(table, {"a": "overlaps"})["row_status"].to_pylist() == ["image_missing", "ok"]


def test_rows_of_another_pool_or_view_are_refused(scored):
    with pytest.raises(UsageError, match="1 of 2 rows to leave out are not in this pool, such as 'x'"):
        mark_left_out(scored([1.0], keys=["a"]), {"a": "overlaps", "x": "overlaps"})


def test_what_is_no_table_of_rows_is_told(tmp_path):
    with pytest.raises(UsageError, match="hf-select overlap --exclude"):
        read_left_out(tmp_path)
    (tmp_path / LEFT_OUT_FILE).write_bytes(b"nothing")
    with pytest.raises(UsageError, match="isn't a table"):
        read_left_out(tmp_path)
    pq.write_table(pa.table({"key": [1], "reason": ["x"]}), tmp_path / LEFT_OUT_FILE)
    with pytest.raises(UsageError, match="text columns"):
        read_left_out(tmp_path)
