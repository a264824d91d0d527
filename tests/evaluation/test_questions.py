"""Questions compared: normalised, by their 5-grams, and looked up without comparing all with all."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_select.errors import UsageError
from hf_select.evaluation.questions import QuestionIndex, containment, normalised, shingles


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("What is the Total?", "what is the total"),
        ("<image>\nWhat  is\tthe_total", "what is the total"),
        ("<image 1> Ｗｈａｔ is…the TOTAL", "what is the total"),
        ("图中的总数是多少？", "图中的总数是多少"),
        ("?!", ""),
    ],
)
def test_case_marks_and_signs_do_not_matter(text, same):
    assert normalised(text) == same


def test_words_that_a_prompt_adds_do_not_hide_a_question():
    asked = normalised("What is the name of the shop?")
    prompt = normalised("What is the name of the shop?\nAnswer the question using a single word or phrase.")
    assert containment(asked, prompt) == 1.0
    assert containment(prompt, asked) < 0.5


def test_short_texts_are_their_own_shingle():
    assert shingles("abc") == {"abc"} and containment("abc", "abc d") == 0.0


@settings(max_examples=60)
@given(
    st.lists(st.text("ab c", min_size=1, max_size=20), min_size=1, max_size=12, unique=True),
    st.text("ab c", max_size=40),
    st.sampled_from([0.3, 0.5, 0.8, 1.0]),
)
def test_the_index_finds_what_comparing_all_finds(questions, text, share):
    wanted = [(at, containment(q, text)) for at, q in enumerate(questions) if containment(q, text) >= share]
    assert QuestionIndex(questions, share).find(text) == wanted


@pytest.mark.parametrize("share", [0, 1.1])
def test_a_share_that_means_nothing_is_refused(share):
    with pytest.raises(UsageError):
        QuestionIndex(["a"], share)
