import pytest
from dialogues import chat, picture

from hf_select.errors import UnknownName
from hf_select.pool.row import IMAGE, Message, Part, Row
from hf_select.scoring.contexts import ASK, ASK_WITH_ANSWER, CONTEXTS, prompt_of
from hf_select.scoring.prompts import RowProblem


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


def test_every_context_but_the_joined_and_inverse_ones_keeps_the_answers(row):
    for context in CONTEXTS.keys() - {"joined_answers", "inverse", "inverse_no_answer"}:
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


def as_lines(prompt):
    lines = []
    for m in prompt.messages:
        text = "".join("<image>" if part.is_image else part.text for part in m.parts)
        lines.append(f"{m.role}{'' if m.supervised else ' (context)'}: {text}")
    return lines


def test_inverse_asks_for_the_question_of_one_turn():
    row = chat((picture(), "\nWhat colour?"), "Red.")
    prompt = prompt_of(row, "inverse")
    assert as_lines(prompt) == [
        "user: <image>Based on the image and answer, what is the likely question? Answer: Red.",
        "assistant: What colour?",
    ]
    assert prompt.images == row.images
    assert as_lines(prompt_of(row, "inverse_no_answer")) == [
        "user: <image>Based on the image, what is the likely question?",
        "assistant: What colour?",
    ]


def test_inverse_goes_turn_by_turn_with_pictures_where_they_were_and_the_system_text(row):
    prompt = prompt_of(row, "inverse")
    assert as_lines(prompt) == [
        "system: Be brief.",
        f"user: {ASK_WITH_ANSWER}Hi.",
        "assistant: Hello",
        f"user: <image><image>{ASK_WITH_ANSWER}Red.",
        "assistant: Colour?And this?",
    ]
    assert prompt.images == row.images
    bare = prompt_of(row, "inverse_no_answer")
    assert [m.text for m in bare.messages if m.role == "user"] == [ASK, ASK]
    assert [m for m in bare.messages if m.role != "user"] == [m for m in prompt.messages if m.role != "user"]


def test_inverse_of_an_answer_without_loss_is_a_question_without_loss():
    asked = chat("a", "context only", "b", "learnt")
    context = Message("assistant", (Part("context only"),), supervised=False)
    prompt = prompt_of(Row((asked.messages[0], context, *asked.messages[2:])), "inverse")
    assert as_lines(prompt) == [
        f"user: {ASK_WITH_ANSWER}context only",
        "assistant (context): a",
        f"user: {ASK_WITH_ANSWER}learnt",
        "assistant: b",
    ]


def test_inverse_leaves_out_turns_without_a_question_and_keeps_their_pictures_for_the_next():
    first, last = picture(), picture("blue")
    row = chat((first,), "A square.", "Which colour?", "Red.", (last, " \n"), "Another.")
    prompt = prompt_of(row, "inverse")
    assert as_lines(prompt) == [f"user: <image>{ASK_WITH_ANSWER}Red.", "assistant: Which colour?"]
    assert prompt.images == (first,)


def test_inverse_joins_the_user_texts_of_a_turn_and_takes_the_first_of_two_answers():
    one = chat("a", "x", "b", "y").messages
    prompt = prompt_of(Row((one[0], one[2], one[1], one[3])), "inverse")
    assert as_lines(prompt) == [f"user: {ASK_WITH_ANSWER}x", "assistant: a\nb"]


@pytest.mark.parametrize("context", ["inverse", "inverse_no_answer"])
def test_a_row_without_a_question_that_carries_loss_has_a_status(context):
    unlearnt = Message("assistant", (Part("b"),), supervised=False)
    rows = [
        chat((picture(),), "A square."),
        Row(),
        chat("no answer yet"),
        Row((*chat("a", "b").messages[:1], unlearnt, Message("user", ()), *chat("", "c").messages[1:])),
    ]
    for row in rows:
        with pytest.raises(RowProblem, match="no question with text") as problem:
            prompt_of(row, context)
        assert problem.value.status == "no_supervised_tokens"
