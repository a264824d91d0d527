"""Rows of chat schemas: turns, places of pictures, tasks, and what carries loss."""

import base64

import pictures
import pytest
from chat_rows import BLUE, RED, llava, names, one, questions, read, systems, user_images

from hf_select.errors import UsageError


@pytest.fixture
def root(tmp_path):
    return pictures.write(tmp_path)


def test_sch_01_llava_row(root):
    row = one(llava(("human", "<image>\nWhat colour fills the picture?"), ("gpt", "Red."), id="k-1", image=RED), root)
    assert row.status == "ok"
    assert questions(row) == ["What colour fills the picture?"]
    assert row.answers == ("Red.",)
    assert names(row) == [RED]
    assert row.messages[0].parts[0].is_image
    assert not row.text_only


def test_sch_02_text_only_row(root):
    with_image = llava(("human", "<image>\nName it."), ("gpt", "Red."), id="k", image=RED)
    without = llava(
        ("human", "A synonym?"), ("gpt", "Fast."), ("human", "Slow?"), ("gpt", "Sluggish."), id="w", model=""
    )
    rows = read([with_image, without], root)
    assert [row.text_only for row in rows] == [False, True]
    assert rows[1].answers == ("Fast.", "Sluggish.")
    assert rows[1].key == one(without).key


def test_sch_04_keys_are_of_content_not_of_ids(root):
    rows = read(
        [
            llava(("human", "<image>\nColour?"), ("gpt", "Red."), id=7, image=RED),
            llava(("human", "<image>\nColour?"), ("gpt", "Blue."), id="7", image=BLUE),
            llava(("human", "<image>\nShape?"), ("gpt", "A rectangle."), id="a-7", image=RED),
        ],
        root,
    )
    assert [row.id for row in rows] == ["7", "7", "a-7"]
    assert len({row.key for row in rows}) == 3


def test_sch_08_image_is_str_or_list(root):
    rows = read(
        [
            llava(("human", "<image>\n<image>\nWhich is blue?"), ("gpt", "The second."), image=[RED, BLUE]),
            llava(("human", "<image>\nColour?"), ("gpt", "Red."), image=RED),
        ],
        root,
    )
    assert [names(row) for row in rows] == [[RED, BLUE], [RED]]
    assert questions(rows[0]) == ["Which is blue?"]


def test_sch_12_nulls_in_typed_parts(root):
    content = [{"type": "image", "text": None, "image": RED}, {"type": "text", "text": "Colour?", "image": None}]
    answer = [{"type": "text", "text": "Red.", "image": None}]
    messages = [{"role": "user", "content": content}, {"role": "assistant", "content": answer}]
    row = one({"messages": messages}, root)
    assert user_images(row) == [1]
    assert row.turns == (("Colour?", "Red."),)


def test_sch_13_content_is_text_or_parts(root):
    row = one(
        {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Colour?"}]},
                {"role": "assistant", "content": "Red."},
            ],
            "images": [RED],
        },
        root,
    )
    assert names(row) == [RED]
    assert systems(row) == ["Be brief."]
    assert row.answers == ("Red.",)


def test_sch_14_data_uris_follow_the_text(root):
    uris = [f"data:image/png;base64,{base64.b64encode((root / name).read_bytes()).decode()}" for name in (RED, BLUE)]
    content = [
        {"type": "text", "text": "Same colour?"},
        {"type": "image_url", "image_url": {"url": uris[0]}},
        {"type": "image_url", "image_url": uris[1]},
    ]
    answer = {"role": "assistant", "content": [{"type": "text", "text": "No."}]}
    row = one({"messages": [{"role": "user", "content": content}, answer]})
    assert [part.is_image for part in row.messages[0].parts] == [False, True, True]
    assert [image.bytes() for image in row.images] == [(root / name).read_bytes() for name in (RED, BLUE)]
    assert row.answers == ("No.",)


def test_sch_16_cauldron_pairs_share_one_picture(root):
    pairs = [
        {"user": "Colour?", "assistant": "Red.", "source": "tinyset"},
        {"user": "Is it round?", "assistant": "No.", "source": "tinyset"},
    ]
    row = one({"images": [RED], "texts": pairs}, root)
    assert user_images(row) == [1, 0]
    assert row.answers == ("Red.", "No.")
    assert row.task == "tinyset"


def test_sch_19_onevision_task_and_null_picture(root):
    first = llava(("human", "<image>\nColour?"), ("gpt", "Red."), id="000000", image=RED, data_source="tiny_vqa")
    second = llava(("human", "Name a prime."), ("gpt", "7"), id="000001", image=None, data_source="tiny_text")
    rows = read([first, second], root)
    assert [row.task for row in rows] == ["tiny_vqa", "tiny_text"]
    assert [row.text_only for row in rows] == [False, True]
    assert one({**second, "id": "000000"}).key == rows[1].key


def test_sch_20_task_names_stay_as_they_are(root):
    tasks = ["ai(c,llava)", "ai/c+llava", "ai_c_llava", "yes: no"]
    rows = read([llava(("human", "Q?"), ("gpt", "A"), data_source=task) for task in tasks])
    assert [row.task for row in rows] == tasks


def test_sch_22_a_row_without_label_has_no_task():
    rows = read(
        [
            llava(("human", "Colour?"), ("gpt", "Red."), task_name="t"),
            llava(("human", "Shape?"), ("gpt", "Box.")),
            llava(("human", "Size?"), ("gpt", "Small."), task_name=None),
        ]
    )
    assert [row.task for row in rows] == ["t", None, None]


def test_sch_23_m3it_question_has_both_parts_in_order(root):
    picture = base64.b64encode((root / RED).read_bytes()).decode()
    record = {"instruction": "Answer.", "inputs": "Colour?", "image_base64_str": [picture], "outputs": "Red."}
    row = one(record)
    assert row.turns == (("Answer.\nColour?", "Red."),)
    assert user_images(row) == [1]
    assert row.images[0].bytes() == (root / RED).read_bytes()


def test_sch_24_m3it_empty_parts(root):
    picture = base64.b64encode((root / BLUE).read_bytes()).decode()
    rows = read(
        [
            {"instruction": "Describe the picture.", "inputs": "", "image_base64_str": [picture], "outputs": "A box."},
            {"instruction": "Translate: cat", "inputs": "", "image_base64_str": [], "outputs": "chat"},
            {"instruction": "Describe.", "inputs": "", "image_base64_str": ["%%%"], "outputs": "x"},
        ]
    )
    assert [row.status for row in rows] == ["ok", "ok", "image_unreadable"]
    assert questions(rows[0]) == ["Describe the picture."]
    assert questions(rows[1]) == ["Translate: cat"]
    assert [len(row.images) for row in rows[:2]] == [1, 0]
    assert "image_base64_str" in rows[2].reason


def test_sch_25_mmc4_is_refused():
    document = {"text_list": ["First."], "image_info": [{"image_name": "a.png"}], "similarity_matrix": [[0.1]]}
    with pytest.raises(UsageError, match="mmc4.*no assistant turn"):
        read([document])


@pytest.mark.parametrize("extra", [{"metadata": "[]", "general_metadata": "{}"}, {}])
def test_obelics_is_refused(extra):
    with pytest.raises(UsageError, match="obelics.*no assistant turn"):
        read([{"images": [None, "a.png"], "texts": ["A text.", None], **extra}])


def test_sch_28_pair_list(root):
    pairs = [{"human": "<image>Colour?", "assistant": "Red."}, {"human": "Sure?", "assistant": "Yes."}]
    row = one({"system": "Be brief.", "conversation": pairs, "images": [RED]}, root)
    assert row.turns == (("Colour?", "Red."), ("Sure?", "Yes."))
    assert systems(row) == ["Be brief."]


def test_sch_29_system_turn_is_context(root):
    row = one(llava(("system", "Be brief."), ("human", "<image>\nColour?"), ("gpt", "Red."), image=RED), root)
    assert systems(row) == ["Be brief."]
    assert row.answers == ("Red.",)
    assert user_images(row) == [1]


def test_sch_30_tool_turns(root):
    call, result = '{"name":"w"}', '{"t":20}'
    turns = [
        ("human", "<image>\nWeather here?"),
        ("function_call", call),
        ("observation", result),
        ("gpt", "20 degrees."),
    ]
    row = one(llava(*turns, image=RED), root)
    assert row.answers == (call, "20 degrees.")
    assert result not in row.answers


def test_sch_32_extra_keys_of_one_turn_are_not_used():
    record = llava(("human", "How do I clear it?"), ("gpt", "Restart it."), id="x1")
    plain = one(record).key
    record["conversations"][1] |= {"text": "Different text.", "markdown": {"type": "m", "index": 1}}
    row = one(record)
    assert row.answers == ("Restart it.",)
    assert row.key == plain


@pytest.mark.parametrize("column", ["video", "videos", "audio", "audios"])
def test_sch_34_video_and_audio_rows(column):
    row = one(llava(("human", "<video>\nWhat moves?"), ("gpt", "A ball."), id="vid1", **{column: "clip.mp4"}))
    assert row.status == "unsupported_modality"
    assert "vid1" in row.reason


def test_video_part_is_unsupported():
    content = [{"type": "video", "video": "clip.mp4"}, {"type": "text", "text": "What moves?"}]
    messages = [{"role": "user", "content": content}, {"role": "assistant", "content": "A ball."}]
    assert one({"messages": messages}).status == "unsupported_modality"


def test_sch_37_equal_rows_have_equal_keys(root):
    def record(picture, answer):
        turns = [{"role": "user", "content": "<image>Colour?"}, {"role": "assistant", "content": answer}]
        return {"image": [picture], "messages": turns}

    keys = [row.key for row in read([record(RED, "Red.")] * 3 + [record(BLUE, "Blue.")], root)]
    assert len(set(keys[:3])) == 1
    assert len(set(keys)) == 2


def test_sch_38_prompt_and_completion(root):
    record = {
        "prompt": [{"role": "user", "content": "Colour?"}],
        "completion": [{"role": "assistant", "content": "Red."}],
        "images": [RED],
    }
    row = one(record, root)
    assert user_images(row) == [1]
    assert row.messages[0].parts[0].is_image
    assert row.answers == ("Red.",)


def test_answers_inside_a_prompt_are_context():
    prompt = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "Colour?"},
    ]
    row = one({"prompt": prompt, "completion": [{"role": "assistant", "content": "Red."}]})
    assert row.answers == ("Red.",)
    assert [message.supervised for message in row.messages if message.role == "assistant"] == [False, True]
    whole = one({"messages": [*prompt, {"role": "assistant", "content": "Red."}]})
    assert whole.key != row.key


def test_sch_40_the_same_file_twice(root):
    turns = [
        {"role": "user", "content": "<image>Colour?"},
        {"role": "assistant", "content": "Red."},
        {"role": "user", "content": "Shape?<image>"},
        {"role": "assistant", "content": "A box."},
    ]
    row = one({"messages": turns, "images": [RED, RED]}, root)
    assert user_images(row) == [1, 1]
    assert row.images[0].digest == row.images[1].digest
