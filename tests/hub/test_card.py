"""The card: licences of mixtures, sizes, and what happens to a card that is there."""

import pytest

from hf_select.errors import HFSelectError
from hf_select.hub.card import BEGIN, END, is_hub_id, licence_of, merge_card, size_category

OURS = (
    "---\ntags:\n- hf_select\nsize_categories:\n- n<1K\nhf_select:\n  rows: 3\nlicense: mit\n---\n\n# Ours\n\nText.\n"
)


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


@pytest.mark.parametrize(("rows", "word"), [(0, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (2_000_000, "n>1M")])
def test_the_hubs_word_for_a_size(rows, word):
    assert size_category(rows) == word


def test_what_is_a_hub_id():
    assert [is_hub_id(name) for name in ("org/pool", "pool.jsonl", "a/b/c", "./a/b", "../b")] == [True] + [False] * 4


def test_a_new_card_is_ours_between_marks():
    card = merge_card(None, OURS)
    assert card.startswith("---\ntags:") and BEGIN in card and card.rstrip().endswith(END)
    assert merge_card(card, OURS) == card


def test_text_around_our_part_stays_where_it_is():
    there = merge_card("# Before\n", OURS) + "\n# After\n"
    again = merge_card(there, OURS.replace("Text.", "New text."))
    assert again.index("# Before") < again.index("New text.") < again.index("# After")
    assert again.count(BEGIN) == 1 and "\nText." not in again


def test_metadata_that_is_there_wins_but_for_our_own():
    merged = merge_card("---\nlicense: apache-2.0\nhf_select: {rows: 1}\npretty_name: P\n---\nx\n", OURS)
    assert "license: apache-2.0" in merged and "pretty_name: P" in merged and "rows: 3" in merged


@pytest.mark.parametrize("front", ["a: [", "- a", "a: b: c"])
def test_metadata_that_can_not_be_read_is_told(front):
    with pytest.raises(HFSelectError, match="mend it first"):
        merge_card(f"---\n{front}\n---\nx\n", OURS)


def test_windows_line_ends_are_read():
    assert "license: apache-2.0" in merge_card("---\r\nlicense: apache-2.0\r\n---\r\nwords\r\n", OURS)
