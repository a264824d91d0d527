import pytest

from hf_select.errors import UsageError
from hf_select.sampling.keys import content_key, unique_keys


def test_copies_are_numbered_and_named_back():
    assert unique_keys(["a", "b", "a", "a", "c", "b"]) == ["a", "b", "a+2", "a+3", "c", "b+2"]
    assert [content_key(key) for key in ("a", "a+2", "a+b", "+2")] == ["a", "a", "a+b", ""]


def test_a_row_without_a_key_is_named():
    with pytest.raises(UsageError, match="row 1 has no row_key"):
        unique_keys(["a", None, "a"])


def test_addresses_are_not_taken_for_keys():
    with pytest.raises(UsageError, match="content keys"):
        unique_keys(["a", "a", "a+2"])
