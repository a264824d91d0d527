"""Answers on disk: found by weights, prompt and decoding, whatever happened to the file."""

import pytest
from dialogues import chat, picture

from hf_select.evaluation.answers import FILE, Answers
from hf_select.evaluation.requests import Asked, Decoding

MODEL = {"weights": {"digest": "a"}, "dtype": "float32"}


def asked(text="What?", tokens=8, doc_id=0):
    return Asked("docvqa_val", doc_id, chat((picture(), text), "x"), Decoding(tokens))


def test_what_was_kept_is_found_by_another_process(tmp_path):
    Answers(tmp_path, MODEL).keep([asked(), asked("Why?")], ["a\nb", ""])
    again = Answers(tmp_path, MODEL)
    assert [again.find(asked()), again.find(asked("Why?")), again.find(asked("Who?"))] == ["a\nb", "", None]
    assert (again.reused, again.computed) == (2, 0)
    assert again.prompts["docvqa_val", 0] == "Who?\nx"


@pytest.mark.parametrize(
    ("model", "one"),
    [
        ({"weights": {"digest": "b"}, "dtype": "float32"}, asked()),
        ({"weights": {"digest": "a"}, "dtype": "bfloat16"}, asked()),
        (MODEL, asked(tokens=9)),
        (MODEL, asked("Else?")),
    ],
)
def test_other_weights_prompts_and_decodings_never_get_old_answers(tmp_path, model, one):
    Answers(tmp_path, MODEL).keep([asked()], ["old"])
    assert Answers(tmp_path, model).find(one) is None


@pytest.mark.parametrize("torn", [b'{"key": "x", "ans', b"\xff\xfe\n", b"[]\n", b'{"key": "x"}\n'])
def test_a_torn_line_costs_itself_only(tmp_path, torn):
    Answers(tmp_path, MODEL).keep([asked()], ["one"])
    with (tmp_path / FILE).open("ab") as file:
        file.write(torn)
    Answers(tmp_path, MODEL).keep([asked("Why?")], ["two"])
    again = Answers(tmp_path, MODEL)
    assert [again.find(asked()), again.find(asked("Why?"))] == ["one", "two"]
