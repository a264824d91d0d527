import pytest
from dialogues import chat, picture

from hf_select.errors import UnknownName
from hf_select.pool.row import IMAGE, Message, Part, Row
from hf_select.scoring.contexts import CONTEXTS, prompt_of


@pytest.fixture
def row():
    return chat("Hello", "Hi.", (picture(), "Colour?", picture("blue"), "And this?"), "Red.", system="Be brief.")


def test_full_is_the_row(row):
    assert prompt_of(row, "full").messages == row.messages
    assert prompt_of(row, "full").images == row.images


def test_num_16_no_question_keeps_turns_pictures_and_alternation(row):
    prompt = prompt_of(row, "no_question")
    assert [m.role for m in prompt.messages] == ["system", "user", "assistant", "user", "assistant"]
    assert prompt.messages[1] == Message("user", (Part(""),))
    assert prompt.messages[3] == Message("user", (IMAGE, IMAGE))
    assert prompt.messages[0].text == "Be brief."
    assert prompt.images == row.images


def test_no_image_drops_places_and_pictures(row):
    prompt = prompt_of(row, "no_image")
    assert prompt.images == ()
    assert sum(m.n_images for m in prompt.messages) == 0
    assert prompt.messages[3].text == "Colour?And this?"


def test_num_16_joined_answers_put_all_pictures_first_and_all_answers_in_one_turn(row):
    prompt = prompt_of(row, "joined_answers")
    assert [m.role for m in prompt.messages] == ["system", "user", "assistant"]
    assert prompt.messages[1] == Message("user", (IMAGE, IMAGE))
    assert prompt.messages[2].text == "Hi. Red."
    assert prompt.images == row.images


def test_num_16_both_forms_survive_a_picture_that_comes_later_or_twice():
    late = chat("Hello", "Hi.", (picture(), "Colour?"), "Red.")
    twice = chat((picture(), "This?"), "Red.", (picture("blue"), "And this?"), "Blue.")
    for row in (late, twice):
        roles = [m.role for m in prompt_of(row, "no_question").messages]
        assert roles == ["user", "assistant", "user", "assistant"]
        assert [m.role for m in prompt_of(row, "joined_answers").messages] == ["user", "assistant"]
        assert len(prompt_of(row, "joined_answers").images) == len(row.images)


def test_answers_without_loss_are_not_joined():
    asked = chat("a", "context only", "b", "learnt")
    context = Message("assistant", (Part("context only"),), supervised=False)
    row = Row((asked.messages[0], context, *asked.messages[2:]))
    assert prompt_of(row, "joined_answers").messages[-1].text == "learnt"


def test_a_row_without_pictures_gets_an_empty_user_turn():
    assert prompt_of(chat("Say hi.", "Hi."), "joined_answers").messages[0] == Message("user", (Part(""),))


def test_every_context_but_the_joined_one_keeps_the_answers(row):
    for context in CONTEXTS.keys() - {"joined_answers"}:
        answers = [m.text for m in prompt_of(row, context).messages if m.role == "assistant"]
        assert answers == list(row.answers)


def test_text_only_row_without_picture_is_itself():
    row = chat("Say hi.", "Hi.")
    assert prompt_of(row, "no_image") == prompt_of(row, "full")


def test_messages_after_the_last_answer_are_dropped():
    row = chat("a", "b", (picture(), "c"))
    assert [m.role for m in prompt_of(row, "full").messages] == ["user", "assistant"]
    assert prompt_of(row, "full").images == ()


def test_unknown_context_names_the_known(row):
    with pytest.raises(UnknownName, match="no_question.*Did you mean 'no_image'"):
        prompt_of(row, "no_images")
