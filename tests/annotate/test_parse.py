import json

import pytest

from hf_select.annotate.parse import MAX_TURNS, Unreadable, parse_turns

PAIR = {"question": "What?", "answer": "A cat."}


def reply(*turns):
    return json.dumps({"turns": list(turns)})


def test_pairs_come_out_stripped():
    assert parse_turns(reply({"question": " What? ", "answer": "A cat.\n"}, PAIR)) == (("What?", "A cat."),) * 2


@pytest.mark.parametrize(
    "form", ["```json\n{}\n```", "```\n{}\n```", "Here it is: {} Enjoy!", "  {}\n", "<think>{x}</think>\n{}"]
)
def test_thoughts_fences_and_words_around_the_json_are_tolerated(form):
    assert parse_turns(form.replace("{}", reply(PAIR))) == (("What?", "A cat."),)


@pytest.mark.parametrize("text", ["", "  \n"])
def test_an_empty_answer_is_empty(text):
    with pytest.raises(Unreadable) as caught:
        parse_turns(text)
    assert caught.value.status == "empty"


@pytest.mark.parametrize(
    "text", ["I'm sorry, but I can't help.", "I cannot describe people.", "Sorry.", "As an AI model"]
)
def test_a_refusal_is_refused(text):
    with pytest.raises(Unreadable) as caught:
        parse_turns(text)
    assert caught.value.status == "refused"


def test_an_apology_inside_the_json_is_an_answer():
    sorry = {"question": "What does the sign say?", "answer": "I'm sorry, we are closed."}
    assert parse_turns(reply(sorry))[0][1] == "I'm sorry, we are closed."


@pytest.mark.parametrize(
    "text",
    [
        "A cat on a mat.",
        "{not json}",
        "[1, 2]",
        "{}",
        json.dumps({"turns": []}),
        json.dumps({"turns": "x"}),
        json.dumps({"turns": ["x"]}),
        reply({"question": "What?"}),
        reply({"question": "What?", "answer": " "}),
        reply({"question": "What?", "answer": 3}),
        reply({"question": "<image> What?", "answer": "A cat."}),
        reply(*[PAIR] * (MAX_TURNS + 1)),
        '{"turns": ' + "[" * 100_000,
        '{"turns": ' + "[" * 100_000 + "]" * 100_000 + "}",
    ],
)
def test_everything_else_is_unparsable(text):
    with pytest.raises(Unreadable) as caught:
        parse_turns(text)
    assert caught.value.status == "unparsable"
