"""The card of a subset: every number on it, hostile values, licences of mixtures, sizes."""

import re
from dataclasses import replace

import pytest
from huggingface_hub import DatasetCard
from loopback_hub.cards import SIZES, problems

from hf_select.errors import HFSelectError, UsageError
from hf_select.hub.card import is_hub_id, licence_of, size_category, subset_card
from hf_select.hub.merge import BEGIN, END, merge_card
from hf_select.sampling.selection import Quota

HOSTILE = "a|b <img src=x> {{ 7*7 }} [x](http://e) `c` $m$ # --- \n\n## Own heading\n---\nlicense: mit " + BEGIN + END


def lines(card):
    return card.split("\n")


def test_every_number_of_the_selection_is_on_the_card(content):
    groups = (Quota("low", 7, 0.25, 3, 2), Quota("high", 5, 0.75, 9, 8))
    chosen = replace(
        content.selection, quotas=groups, rejected={"no_answer": 5, "image_missing": 3}, notes=("3 short",)
    )
    entries = [
        {"task": "vqa", "rows": 1234, "usable": 1200, "picked": 8, "share": 8 / 1234}
        | {"mean_score": 1.23456, "mean_score_picked": 2.5},
        {"task": "ocr", "rows": 66, "usable": 60, "picked": 4, "share": 4 / 66, "mean_score": None},
    ]
    about = content.about | {"tasks": entries, "pool_rows": 1300, "seed": 41, "limits": ["Rare ones are rare."]}
    card = subset_card(
        chosen, about | {"known": ["k1"], "unknown": ["u1"]}, repo_id="me/vit", plots=("plots/tasks.png",)
    )
    assert "# 12 rows chosen from pool.jsonl" in lines(card)
    assert "12 of the 1,300 rows of `pool.jsonl`, chosen by `grouped` ([arXiv 2503.20502]" in card
    assert "(https://arxiv.org/abs/2503.20502)) with a budget of 12 rows and seed 41." in card
    assert "| vqa | 1234 | 1200 | 8 | 0.6% | 1.235 | 2.500 |" in lines(card)
    assert "| ocr | 66 | 60 | 4 | 6.1% | - | - |" in lines(card)
    assert "| task | pool rows | usable | picked | share | mean worth | of the picked |" in lines(card)
    assert "| low | 7 | 25.0% | 3 | 2 |" in lines(card) and "| high | 5 | 75.0% | 9 | 8 |" in lines(card)
    assert (
        "- `no_answer`: 5" in lines(card) and "- `image_missing`: 3" in lines(card) and "- Note: 3 short" in lines(card)
    )
    assert "| AnswerLoss | 1 | `tiny` | `abc` | float32 |" in lines(card)
    assert {"- k1", "- u1", "- Rare ones are rare.", "- `bins`: `4`"} <= set(lines(card))
    assert "`hf-select run mllm_selector --pool pool.jsonl --budget 12`" in lines(card)
    assert "![plots/tasks.png](plots/tasks.png)" in lines(card)
    block = DatasetCard(card).data.to_dict()["hf_select"]
    assert (block["rows"], block["pool_rows"], block["seed"], block["budget"]) == (12, 1300, 41, "12 rows")


def test_every_number_of_presel_is_on_the_card(content):
    entry = {"task": "vqa", "rows": 100, "usable": 90, "picked": 12, "share": 0.12, "reference": 5, "irs": 0.98765}
    text = {"task": "text", "rows": 9, "usable": 0, "picked": 0, "share": 0.0, "reference": 0, "irs": None}
    entries = [entry | {"weight": 0.3333, "quota": 6.96}, text | {"weight": 0.0, "quota": 0.0}]
    about = content.about | {"tasks": entries, "pool_rows": 100}
    about |= {
        "required_instructions": 12,
        "reference_rows": 5,
        "method": {"name": "presel", "paper": "arXiv 2503.07591"},
    }
    card = subset_card(content.selection, about)
    assert "instructions were needed for 12 rows (12.0% of the pool), 5 of them the reference set" in card
    assert "| vqa | 100 | 90 | 5 | 0.988 | 33.3% | 7.0 | 12 | 12.0% |" in lines(card)
    assert "| text | 9 | 0 | 0 | - | 0.0% | 0.0 | 0 | 0.0% |" in lines(card)
    assert "`hf-select show PreSel`" in card and "https://arxiv.org/abs/2503.07591" in card


def test_the_measured_gain_is_on_the_card_and_only_what_eval_wrote(content):
    entry = {"task": "docvqa", "baseline": 40.0, "model": 43.5, "difference": 3.5, "low": 1.0, "high": 6.0, "n": 50}
    gain = {
        "model": "tuned",
        "baseline": "random",
        "runs": [3, 2],
        "tasks": [entry, entry | {"low": None, "high": None}],
    }
    card = subset_card(content.selection, content.about | {"gain": gain})
    assert "tuned (3 runs) against random (2 runs)" in card and "Not measured yet" not in card
    assert "| docvqa | 40.00 | 43.50 | +3.50 | +1.00 to +6.00 | 50 |" in lines(card)
    assert "| docvqa | 40.00 | 43.50 | +3.50 | - | 50 |" in lines(card)
    for wrong in ({}, [], gain | {"tasks": []}, gain | {"runs": [1]}, gain | {"tasks": [entry | {"n": "<b>"}]}):
        with pytest.raises(UsageError, match="no comparison of two models"):
            subset_card(content.selection, content.about | {"gain": wrong})


@pytest.mark.parametrize(
    "key", ["pool", "model", "budget", "command", "method", "tasks", "limits", "licences", "scorers"]
)
def test_a_hostile_value_stays_text_wherever_it_comes(content, key):
    plain = subset_card(content.selection, content.about | {"limits": ["x"]})
    bad = {
        "method": {"name": HOSTILE, "paper": HOSTILE, "necessity": HOSTILE, "x": HOSTILE},
        "tasks": [content.about["tasks"][0] | {"task": HOSTILE}],
        "limits": [HOSTILE],
        "licences": {HOSTILE: None},
        "scorers": [content.about["scorers"][0] | dict.fromkeys(("name", "model", "weights", "dtype"), HOSTILE)],
    }.get(key, HOSTILE)
    card = subset_card(content.selection, content.about | {"limits": ["x"], key: bad})
    heads = [line for line in lines(card) if line.startswith("#")]
    assert len(heads) == len([line for line in lines(plain) if line.startswith("#")])
    shown = re.sub("`[^`]*`|<code>.*?</code>", "", card[card.index("\n---\n") :])
    assert "Own heading" in card and "<img" not in shown and "[x](" not in shown and BEGIN not in shown
    assert problems(card, "dataset") == ([], [])
    data = DatasetCard(card).data
    assert data.license == "other" and set(data.to_dict()["hf_select"]) == set(DatasetCard(plain).data.hf_select)
    for row in (line for line in lines(card) if line.startswith("| ") and line.count(" | ") >= 4):
        assert row.count(" | ") in (4, 6)
    merged = merge_card("words\n", card)
    assert merge_card(merged, card) == merged


def test_without_plots_the_card_says_why(content):
    assert "matplotlib was not installed" in subset_card(content.selection, content.about, plots=None)
    assert "matplotlib" not in subset_card(content.selection, content.about)


def test_sixty_groups_are_shown_and_the_rest_counted(content):
    many = replace(content.selection, quotas=tuple(Quota(f"g{n}", 1, 0.01, 1, 1) for n in range(75)))
    card = subset_card(many, content.about)
    assert "| g59 |" in card and "| g60 |" not in card and "15 more groups are in `recipe.yaml`." in lines(card)


def test_what_is_missing_or_unknown_is_told(content):
    for changed, words in (
        ({k: v for k, v in content.about.items() if k != "budget"}, "needs budget"),
        (content.about | {"licence": "mit"}, "no card tells licence: about may hold .*licences"),
        (content.about | {"method": {"name": "x"}}, "needs its name and its paper"),
    ):
        with pytest.raises(HFSelectError, match=words):
            subset_card(content.selection, changed)


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


def test_pub_12_never_a_permissive_licence_when_a_source_is_unknown(content):
    sources = {"a": "cc-by-4.0", "b": "other", "c": None}
    assert licence_of(sources) == "other"
    card = subset_card(content.selection, content.about | {"licences": sources})
    assert DatasetCard(card).data.license == "other"
    assert {"- `a`: cc-by-4.0", "- `b`: other", "- `c`: unknown"} <= set(lines(card))


@pytest.mark.parametrize(
    ("rows", "word"),
    [(0, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (2_000_000, "1M<n<10M"), (999_999_999, "100M<n<1B")],
)
def test_the_hubs_word_for_a_size(rows, word):
    assert size_category(rows) == word and word in SIZES


def test_what_is_a_hub_id():
    assert [is_hub_id(name) for name in ("org/pool", "pool.jsonl", "a/b/c", "./a/b", "../b")] == [True] + [False] * 4
