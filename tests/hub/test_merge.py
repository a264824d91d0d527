"""What happens to a card that is there: its words and metadata stay to the letter, only what is ours changes."""

import pytest
import yaml

from hf_select.errors import HFSelectError
from hf_select.hub.merge import BEGIN, END, merge_card, read_metadata

OURS = (
    "---\ntags:\n- hf_select\nsize_categories:\n- n<1K\nhf_select:\n  rows: 3\n  license: mit\nlicense: mit\n"
    "configs:\n- config_name: default\n  data_files: data/train-*\n---\n\n# Ours\n\nText.\n"
)


def test_a_new_card_is_ours_between_marks():
    card = merge_card(None, OURS)
    assert card.startswith("---\ntags:") and BEGIN in card and card.rstrip().endswith(END)
    assert merge_card(card, OURS) == card


def test_text_around_our_part_stays_where_it_is():
    there = merge_card("# Before\n", OURS) + "\n# After\n"
    again = merge_card(there, OURS.replace("Text.", "New text."))
    assert again.index("# Before") < again.index("New text.") < again.index("# After")
    assert again.count(BEGIN) == 1 and "\nText." not in again


def test_metadata_stay_to_the_letter_with_their_comments_and_order():
    front = (
        "# by hand\nlanguage:\n- no\npretty_name:   'on'\nversion: 1.10\nlicense: apache-2.0  # ours\nat: 12:30\n"
        "train-eval-index: [{a: 010}]\n"
    )
    merged = merge_card(f"---\n{front}---\nx\n", OURS)
    assert merged.startswith(f"---\n{front}tags:\n- hf_select\n")
    assert merge_card(merged, OURS) == merged


def test_our_facts_replace_older_ones_in_their_place():
    merged = merge_card("---\nhf_select: {rows: 1}\nsize_categories: [x]\nsource_datasets: [a/b]\nz: 1\n---\nx\n", OURS)
    data = read_metadata(merged)
    assert data["hf_select"]["rows"] == 3 and data["size_categories"] == ["n<1K"] and "source_datasets" not in data
    assert list(data)[0] == "hf_select" and data["z"] == 1


@pytest.mark.parametrize(("license", "becomes"), [("cc0-1.0", "mit"), ("apache-2.0", "apache-2.0")])
def test_a_licence_changes_only_where_we_had_written_it(license, becomes):
    there = f"---\nlicense: {license}\nhf_select:\n  license: cc0-1.0\n---\n"
    assert read_metadata(merge_card(there, OURS))["license"] == becomes


@pytest.mark.parametrize(
    ("tags", "all_tags"),
    [("tags:", ["hf_select"]), ("tags: mine", ["mine", "hf_select"]), ("tags: [hf_select, b]", ["hf_select", "b"])],
)
def test_tags_are_united_however_they_are_written(tags, all_tags):
    assert read_metadata(merge_card(f"---\n{tags}\n---\nx\n", OURS))["tags"] == all_tags


def test_configurations_and_features_of_replaced_data_go_and_further_ones_of_ours_stay():
    known = {
        "configs": [{"config_name": "default", "data_files": "old"}, {"config_name": "eval", "data_files": "e"}],
        "dataset_info": [{"features": []}, {"config_name": "eval", "features": []}],
    }
    theirs = read_metadata(merge_card(f"---\n{yaml.safe_dump(known)}---\n", OURS))
    assert [one["config_name"] for one in theirs["configs"]] == ["default"] and "dataset_info" not in theirs
    mine = read_metadata(merge_card(f"---\n{yaml.safe_dump(known | {'hf_select': {}})}---\n", OURS))
    assert [one["data_files"] for one in mine["configs"]] == ["e", "data/train-*"]
    assert [one["config_name"] for one in mine["dataset_info"]] == ["eval"]


def test_our_end_mark_in_a_value_does_not_end_our_part():
    ours = OURS.replace("Text.", f"Text `{END}` and `{BEGIN}` more.")
    once = merge_card("# a\n", ours) + "after\n"
    assert merge_card(once, ours) == once


@pytest.mark.parametrize("front", ["a: [", "- a", "a: b: c"])
def test_metadata_that_can_not_be_read_is_told(front):
    with pytest.raises(HFSelectError, match="mend it first"):
        merge_card(f"---\n{front}\n---\nx\n", OURS)


@pytest.mark.parametrize(
    "there",
    [
        "---\r\nlicense: apache-2.0\r\n---\r\nwords\r\n",
        "\ufeff---\nlicense: apache-2.0\n---\nwords\n",
        "\n---\n{license: apache-2.0}\n---\nwords\n",
    ],
)
def test_other_line_ends_marks_and_forms_are_read(there):
    merged = merge_card(there, OURS)
    assert read_metadata(merged)["license"] == "apache-2.0" and merged.count("apache-2.0") == 1 and "words" in merged
