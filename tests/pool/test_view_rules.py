"""The rules of the row view: pictures without places, turns left out, and rows that cost only themselves."""

import base64

import pictures
import pytest
from chat_rows import BLUE, RED, llava, names, one, questions, read, user_images

from hf_select.errors import UnknownName, UsageError
from hf_select.pool.view import PoolView


@pytest.fixture
def root(tmp_path):
    return pictures.write(tmp_path)


def test_txt_02_more_places_than_pictures(root):
    row = one(llava(("human", "<image>\n<image>\nColour?"), ("gpt", "Red."), id="p1", image=RED), root)
    assert row.status == "invalid"
    assert all(word in row.reason for word in ("p1", "2", "1"))


def test_more_pictures_than_places(root):
    row = one(llava(("human", "<image>\nColour?"), ("gpt", "Red."), id="p2", image=[RED, BLUE]), root)
    assert row.status == "invalid"
    assert "p2" in row.reason


def test_txt_04_picture_without_place_goes_first(root):
    row = one(llava(("human", "Colour?"), ("gpt", "Red."), id="p3", image=RED), root)
    assert user_images(row) == [1]
    assert row.messages[0].parts[0].is_image
    assert row.notes == ("image_placed",)


def test_txt_05_picture_in_a_later_turn(root):
    turns = [("human", "<image>\nColour?"), ("gpt", "Red."), ("human", "And this one?\n<image>"), ("gpt", "Blue.")]
    row = one(llava(*turns, image=[RED, BLUE]), root)
    assert user_images(row) == [1, 1]
    assert row.turns == (("Colour?", "Red."), ("And this one?", "Blue."))
    assert names(row) == [RED, BLUE]


def test_txt_06_the_placeholder_as_a_word():
    text = "What does the <image> tag do in SVG?"
    row = one(llava(("human", text), ("gpt", "It embeds a picture."), id="l1"))
    assert (row.status, row.text_only) == ("ok", True)
    assert questions(row) == [text]


@pytest.mark.parametrize("text", ["<image>\nColour?", "Colour?\n<image>", "<image> Colour?"])
def test_a_lost_picture_is_not_scored_blind(text):
    row = one(llava(("human", text), ("gpt", "Red."), id="l2", image=None))
    assert row.status == "invalid"
    assert "l2" in row.reason


def test_txt_10_conversation_starts_with_the_model(root):
    turns = [("gpt", "Send me a picture."), ("human", "<image>\nColour?"), ("gpt", "Red.")]
    row = one(llava(*turns, id="g1", image=RED), root)
    assert row.answers == ("Red.",)
    assert row.messages[0].role == "user"
    assert user_images(row) == [1]
    assert row.notes == ("leading_assistant",)


def test_txt_12_no_answer_at_the_end():
    rows = read(
        [
            llava(("human", "Hi"), ("gpt", "Hello."), ("human", "Bye?"), id="o1"),
            llava(("human", "Hi"), id="o2"),
        ]
    )
    assert [row.status for row in rows] == ["ok", "invalid"]
    assert rows[0].turns == (("Hi", "Hello."),)
    assert rows[0].notes == ("trailing_user",)
    assert "o2" in rows[1].reason
    assert "assistant" in rows[1].reason


def test_a_picture_of_a_dropped_turn_goes_with_it(root):
    turns = [("human", "<image>\nColour?"), ("gpt", "Red."), ("human", "<image>\nAnd this?")]
    row = one(llava(*turns, image=[RED, BLUE]), root)
    assert (row.status, names(row)) == ("ok", [RED])


def test_txt_19_blanks_stay():
    rows = read([llava(("human", " Hi \n"), ("gpt", " Hello. ")), llava(("human", "Hi"), ("gpt", "Hello."))])
    assert rows[0].turns == ((" Hi \n", " Hello. "),)
    assert rows[0].key != rows[1].key


def test_img_16_null_in_a_list_is_dropped(root):
    turns = [{"role": "user", "content": "<image>Colour?"}, {"role": "assistant", "content": "Red."}]
    row = one({"id": "n1", "images": [None, RED], "messages": turns}, root)
    assert names(row) == [RED]
    assert row.notes == ("image_null",)


def test_img_08_img_11_cheap_faults_are_known_before_any_model(root):
    rows = read(
        [
            llava(("human", "<image>\nColour?"), ("gpt", "Red."), id="i8", image="img/only_as_gif.jpg"),
            llava(("human", "<image>\nColour?"), ("gpt", "Red."), id="i11", image="img/zero.jpg"),
            llava(("human", "<image>\nColour?"), ("gpt", "Red."), id="ok", image=RED),
        ],
        root,
    )
    assert [row.status for row in rows] == ["image_missing", "image_unreadable", "ok"]
    assert "i8" in rows[0].reason
    assert "only_as_gif.gif" in rows[0].reason


def test_img_18_rows_of_one_picture_share_its_digest(root):
    rows = read([llava(("human", "<image>\nQ?"), ("gpt", "A"), image=name) for name in (RED, RED, BLUE)], root)
    assert len({row.images[0].digest for row in rows}) == 2


@pytest.mark.parametrize("mark", ["<image>", "<|image|>", "<__dj__image>"])
def test_placeholders_of_other_tools(root, mark):
    row = one(llava(("human", f"{mark}\nColour?"), ("gpt", "Red."), image=RED), root)
    assert questions(row) == ["Colour?"]
    assert user_images(row) == [1]


def test_a_placeholder_in_the_middle_keeps_the_texts_around_it(root):
    row = one(llava(("human", "Look:\n<image>\nand tell."), ("gpt", "Red."), image=RED), root)
    assert [part.text for part in row.messages[0].parts] == ["Look:\n", None, "and tell."]


def test_unknown_role_and_broken_turns_cost_their_own_row():
    rows = read(
        [
            llava(("narrator", "Hi"), ("gpt", "Hello."), id="r1"),
            {"conversations": None, "id": "r2"},
            {"conversations": ["text"], "id": "r3"},
            {"conversations": 7, "id": "r4"},
            llava(("human", None), ("gpt", "Hello."), id="r5"),
            {"conversations": [{"a": 1}], "id": "r6"},
            llava(("human", "Hi"), ("gpt", "Hello."), id="r7"),
        ]
    )
    assert [row.status for row in rows] == ["invalid"] * 6 + ["ok"]
    assert all(row.id in row.reason for row in rows[:6])
    assert "narrator" in rows[0].reason
    assert len({row.key for row in rows}) == 7


def test_a_typed_picture_outside_user_turns_is_invalid(root):
    turns = [{"role": "user", "content": "Draw."}, {"role": "assistant", "content": [{"type": "image", "image": RED}]}]
    assert one({"messages": turns}, root).status == "invalid"


def test_anthropic_parts(root):
    data = base64.b64encode((root / RED).read_bytes()).decode()
    source = {"type": "base64", "media_type": "image/png", "data": data}
    content = [{"type": "image", "source": source}, {"type": "text", "text": "Colour?"}]
    row = one({"messages": [{"role": "user", "content": content}, {"role": "assistant", "content": "Red."}]})
    assert row.images[0].bytes() == (root / RED).read_bytes()
    remote = [{"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}]
    row = one({"messages": [{"role": "user", "content": remote}, {"role": "assistant", "content": "Red."}]})
    assert row.status == "url_refused"


def test_sequences_stored_as_columns(root):
    """`Sequence` of a dict comes out of datasets as a dict of lists."""
    row = one(
        {
            "images": {"bytes": [(root / RED).read_bytes()], "path": ["red.png"]},
            "texts": {"user": ["Colour?"], "assistant": ["Red."], "source": ["tinyset"]},
        }
    )
    assert row.turns == (("Colour?", "Red."),)
    assert len(row.images) == 1


def test_the_task_field_can_be_named():
    record = llava(("human", "Hi"), ("gpt", "Hello."), task="a", group="b", level=3)
    assert one(record).task == "a"
    assert one(record, task_field="group").task == "b"
    assert one(record, task_field="level").task == "3"
    with pytest.raises(UnknownName, match="Did you mean 'group'"):
        one(record, task_field="grup")


def test_an_unknown_schema_lists_what_was_found_and_what_is_known():
    with pytest.raises(UsageError, match=r"\['a', 'b'\].*llava"):
        read([{"a": 1, "b": 2}])
    with pytest.raises(UnknownName, match="Did you mean 'llava'"):
        read([llava(("human", "Hi"), ("gpt", "Hello."))], schema="lava")
    with pytest.raises(UsageError, match="conversation"):
        read([{"messages": []}], schema="pair_list")


def test_an_empty_batch_has_no_rows():
    assert PoolView().rows({"conversations": [], "image": []}) == []


ASSISTANT = {"role": "assistant", "content": "Red."}


@pytest.mark.parametrize(
    ("columns", "word"),
    [
        ({"messages": '[{"role": "user"}]', "images": []}, "turns of type str"),
        ({"conversation": [5, 6]}, "turn of type int"),
        ({"conversation": "abc"}, "turns of type str"),
        ({"texts": "abc", "images": [RED]}, "turns of type str"),
        ({"texts": 3, "images": [RED]}, "turns of type int"),
        ({"instruction": "a", "output": "b", "history": 5}, "5 in 'history'"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": {"a": 1}}]}, ASSISTANT]}, "type dict"),
    ],
)
def test_values_of_another_kind_cost_their_own_row_only(columns, word):
    (row,) = PoolView().rows({name: [value] for name, value in columns.items()})
    assert row.status == "invalid"
    assert word in row.reason
    assert len(row.key) == 32


def test_a_number_in_a_typed_part_is_read_as_text(root):
    parts = [{"type": "image", "image": str(root / RED)}, {"type": "text", "text": 5}]
    turns = [{"role": "user", "content": parts}, {"role": "assistant", "content": [{"type": "text", "text": 0}]}]
    (row,) = PoolView().rows({"messages": [turns]})
    assert row.turns == (("5", "0"),)


def test_reasons_quote_no_more_than_a_line_of_the_row():
    (row,) = PoolView().rows({"messages": [[{"role": "u" * 5000, "content": "x"}]]})
    assert row.status == "invalid" and len(row.reason) < 400
