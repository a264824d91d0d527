"""The loss of questions, asked for from picture and answer: `AnswerLoss` in the inverse contexts."""

import pytest
import tiny
from dialogues import chat, picture

from hf_select.scoring.answer_loss import AnswerLoss
from hf_select.scoring.contexts import ASK_WITH_ANSWER


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(tiny.llava(tmp_path_factory.mktemp("llava")))


def test_questions_are_scored_as_answers_are(folder):
    """The inverse contexts of a row are the full context of the row that asks for its questions."""
    rows = [
        chat((picture(), "What colour?"), "Red.", system="Be brief."),
        chat("Hello", "Hi.", ("And this?", picture("blue")), "Blue."),
    ]
    asking = [
        chat((picture(), ASK_WITH_ANSWER + "Red."), "What colour?", system="Be brief."),
        chat(ASK_WITH_ANSWER + "Hi.", "Hello", (picture("blue"), ASK_WITH_ANSWER + "Blue."), "And this?"),
    ]
    found = AnswerLoss(model=folder, contexts=("inverse", "full", "inverse_no_answer")).score(rows)
    expected = AnswerLoss(model=folder).score(asking)
    assert found["loss_status"] == ["ok"] * 2
    for fact in ("loss", "tokens"):
        assert found[f"{fact}_inverse"] == expected[f"{fact}_full"]
    assert found["n_tokens"] == expected["n_tokens"]
    assert found["tokens_inverse"] == found["tokens_inverse_no_answer"]
    assert found["loss_inverse"] != found["loss_inverse_no_answer"]


def test_a_row_without_a_question_has_no_number_where_the_question_is_asked_for(folder):
    rows = [chat((picture(),), "A square."), chat((picture(), "Colour?"), "Red.")]
    for micro_batch in (None, 4):
        found = AnswerLoss(model=folder, contexts=("full", "inverse"), micro_batch=micro_batch).score(rows)
        assert found["loss_status"] == ["no_supervised_tokens", "ok"]
        assert "no question with text" in found["loss_reason"][0]
        told = ("loss_status", "loss_reason")
        assert [values[0] for name, values in found.items() if name not in told] == [None] * 5
    assert AnswerLoss(model=folder).score(rows)["loss_status"] == ["ok", "ok"]
