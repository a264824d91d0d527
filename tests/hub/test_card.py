"""The card: licences of mixtures, and sizes."""

import pytest
from loopback_hub.cards import SIZES

from hf_select.hub.card import is_hub_id, licence_of, size_category


@pytest.mark.parametrize(
    ("licences", "one"),
    [
        ({"a": "mit"}, "mit"),
        ({"a": "mit", "b": "mit"}, "mit"),
        ({"a": "mit", "b": "cc-by-4.0"}, "other"),
        ({"a": "unknown"}, "other"),
        ({"a": None, "b": None}, "other"),
    ],
)
def test_a_mixture_has_one_licence_only_where_all_sources_agree(licences, one):
    assert licence_of(licences) == one


def test_pub_12_never_a_permissive_licence_when_a_source_is_unknown():
    assert licence_of({"a": "cc-by-4.0", "b": "other", "c": None}) == "other"


@pytest.mark.parametrize(
    ("rows", "word"),
    [(0, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (2_000_000, "1M<n<10M"), (999_999_999, "100M<n<1B")],
)
def test_the_hubs_word_for_a_size(rows, word):
    assert size_category(rows) == word and word in SIZES


def test_what_is_a_hub_id():
    assert [is_hub_id(name) for name in ("org/pool", "pool.jsonl", "a/b/c", "./a/b", "../b")] == [True] + [False] * 4
