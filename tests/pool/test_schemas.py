"""One record of each public schema, recognised by its columns and read to the same row."""

import base64

import pictures
import pytest

from hf_select.pool.schemas import BY_NAME
from hf_select.pool.view import PoolView

RED = pictures.PICTURES["red8x6.png"]()
PICTURE = {"bytes": RED, "path": "red.png"}
TEXT64 = base64.b64encode(RED).decode()
FROM = [{"from": "human", "value": "<image>\nColour?"}, {"from": "gpt", "value": "Red."}]
ROLES = [{"role": "user", "content": "<image>\nColour?"}, {"role": "assistant", "content": "Red."}]
PARTS = [
    {"role": "user", "content": [{"type": "image", "text": None}, {"type": "text", "text": "Colour?"}]},
    {"role": "assistant", "content": [{"type": "text", "text": "Red."}]},
]
URL = [
    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{TEXT64}"}},
    {"type": "text", "text": "Colour?"},
]

RECORDS = {
    "llava": {"id": 1, "image": PICTURE, "conversations": FROM},
    "llava_multi_image": {"id": "1", "image": [PICTURE], "conversations": FROM},
    "llava_onevision": {"id": "000000", "image": PICTURE, "conversations": FROM, "data_source": "t"},
    "sharegpt": {"conversations": FROM, "images": [PICTURE], "system": None, "tools": None},
    "pair_list": {
        "system": "",
        "conversation": [{"human": "<image>Colour?", "assistant": "Red."}],
        "images": [PICTURE],
    },
    "messages": {"messages": ROLES, "images": [PICTURE]},
    "typed_messages": {"messages": PARTS, "images": [PICTURE]},
    "openai": {"messages": [{"role": "user", "content": URL}, ROLES[1]]},
    "prompt_completion": {"prompt": ROLES[:1], "completion": ROLES[1:], "image": PICTURE},
    "cauldron": {"images": [PICTURE], "texts": [{"user": "Colour?", "assistant": "Red.", "source": "t"}]},
    "vision_flan": {"id": "1", "image": PICTURE, "conversations": FROM, "task_name": "t", "unique_idx": 1},
    "m3it": {"instruction": "Colour?", "inputs": "", "image_base64_str": [TEXT64], "outputs": "Red."},
    "alpaca": {"instruction": "Colour?", "input": None, "output": "Red.", "images": [PICTURE]},
    "question_answer": {"questionId": "1", "question": "Colour?", "image": PICTURE, "answers": ["Red.", "Crimson."]},
    "data_juicer": {
        "text": "<__dj__image>\n[[human]]: Colour?\n[[gpt]]: Red. <|__dj__eoc|>",
        "images": [PICTURE],
        "meta": {},
        "stats": {},
    },
    "mantis": {"images": [PICTURE], "conversation": ROLES, "source": "t"},
}
REFUSED = {"mmc4", "obelics"}
ASKED_FOR = {"llava_pretrain"}


def rows(*records, **options):
    return PoolView(**options).rows({name: [record.get(name) for record in records] for name in records[0]})


def test_all_nineteen_and_the_view_without_instructions_are_covered():
    assert set(RECORDS) | REFUSED | ASKED_FOR | {"images"} == set(BY_NAME)
    assert len(BY_NAME) == 19 + 1


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_is_recognised_and_read(name):
    record = RECORDS[name]
    assert PoolView().schema_of({column: [value] for column, value in record.items()}) == name
    (row,) = rows(record)
    assert (row.status, row.reason) == ("ok", "")
    assert row.turns == (("Colour?", "Red."),)
    assert [image.bytes() for image in row.images] == [RED]
    assert [m.n_images for m in row.messages if m.role == "user"] == [1]
    (asked,) = rows(record, schema=name)
    assert asked.key == row.key


@pytest.mark.parametrize("name", ["llava_onevision", "cauldron", "vision_flan", "mantis"])
def test_schemas_with_a_task_of_their_own(name):
    assert rows(RECORDS[name])[0].task == "t"


def test_every_schema_gives_the_same_key_for_the_same_content():
    assert len({rows(record)[0].key for record in RECORDS.values()}) == 1


def test_llava_pretraining_has_no_question():
    (row,) = rows(RECORDS["llava"], schema="llava_pretrain")
    assert row.turns == (("", "Red."),)
    assert len(row.images) == 1


def test_the_close_relative_of_messages():
    record = {"image": [PICTURE], "messages": [{"role": "user", "content": "<|image|>Colour?"}, ROLES[1]]}
    (row,) = rows({**record, "task_name": "qa", "dataset_name": "docs"})
    assert row.turns == (("Colour?", "Red."),)
    assert row.task == "qa"


def test_alpaca_history_and_system_come_first():
    record = {
        "instruction": "And",
        "input": "now?",
        "output": "Blue.",
        "history": [["Colour?", "Red."]],
        "system": "Short.",
    }
    (row,) = rows(record)
    assert row.turns == (("Colour?", "Red."), ("And\nnow?", "Blue."))
    assert row.messages[0].text == "Short."


@pytest.mark.parametrize("question", ["question", "query", "prompt", "problem"])
@pytest.mark.parametrize("answer", ["answer", "response", "output", "targets"])
def test_synonyms_of_question_and_answer(question, answer):
    (row,) = rows({question: "Colour?", answer: "Red.", "image": PICTURE})
    assert row.turns == (("Colour?", "Red."),)


@pytest.mark.parametrize("answer", [{"answer": None}, {"answers": []}])
def test_a_question_without_answer_is_invalid(answer):
    (row,) = rows({"question": "Colour?", "questionId": 5, **answer})
    assert row.status == "invalid"
    assert "5" in row.reason


def test_numbers_as_answers_are_texts():
    (row,) = rows({"question": "How many?", "answer": 7})
    assert row.answers == ("7",)


def test_prompt_and_completion_may_be_texts():
    (row,) = rows({"prompt": "Colour?", "completion": "Red.", "image": PICTURE})
    assert row.turns == (("Colour?", "Red."),)


def test_a_system_turn_wins_over_the_column():
    turns = [{"from": "system", "value": "Inside."}, *FROM]
    (row,) = rows({"conversations": turns, "system": "Column.", "images": [PICTURE]})
    assert [m.text for m in row.messages if m.role == "system"] == ["Inside."]


def test_data_juicer_caption_is_the_pretraining_form():
    (row,) = rows({"text": "<__dj__image> A red box. <|__dj__eoc|>", "images": [PICTURE]})
    assert row.turns == (("", "A red box."),)


@pytest.mark.parametrize("text", ["One. <|__dj__eoc|> <__dj__image> Two. <|__dj__eoc|>", "<__dj__image>"])
def test_data_juicer_documents_have_nobody_who_answers(text):
    (row,) = rows({"text": text, "images": [PICTURE]})
    assert row.status == "invalid"
    assert "no assistant turn" in row.reason
