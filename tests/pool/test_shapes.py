import datasets
import pytest
from datasets import Json, List, Value
from hypothesis import given
from hypothesis import strategies as st

from hf_select.pool.shapes import NULL, feature_of, fits, merged, shape_of


def feature(*values):
    shape = NULL
    for value in values:
        shape = merged(shape, shape_of(value, check_text=True))
    assert all(fits(value, shape) for value in values)
    return feature_of(shape)


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (["007", "2024-01-01", "true", None, ""], Value("string")),
        ([1, None, -(2**63)], Value("int64")),
        ([1.0, float("nan")], Value("float64")),
        ([True, False], Value("bool")),
        ([None], Value("string")),
        ([["a"], [], None, [None]], List(Value("string"))),
        ([[[1]], [[]]], List(List(Value("int64")))),
        ([{"a": 1, "b": None}, {"b": "x", "a": None}], {"a": Value("int64"), "b": Value("string")}),
        ([1, "1"], Json()),
        ([1, 1.5], Json()),
        ([1, True], Json()),
        (["a", ["a"]], Json()),
        ([["a", 1]], Json()),
        ([{"a": 1}, {"a": 1, "b": 2}], Json()),
        ([{}], Json()),
        ([2**63], Json()),
        (["\ud800"], Json()),
        ([{"\ud800": 1}], Json()),
    ],
)
def test_the_type_of_a_column(values, wanted):
    assert datasets.Features({"x": feature(*values)}) == datasets.Features({"x": wanted})


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=6,
)


@given(st.lists(VALUES, max_size=4))
def test_merging_is_a_join(values):
    """Every value fits the merged shape, whatever the order."""
    forth, back = NULL, NULL
    for value in values:
        forth = merged(forth, shape_of(value))
    for value in reversed(values):
        back = merged(back, shape_of(value))
    assert forth == back
    assert all(fits(value, forth) for value in values)
