"""Labels lie on exactly the answers, or the row has a status: never a shifted, empty or guessed mask."""

from dataclasses import replace

import dialogues
import pytest
import tiny
import tiny_text
import torch
from dialogues import chat, picture
from PIL import Image
from tokenizers import AddedToken

from hf_select.errors import UsageError
from hf_select.pool.images import RowImage
from hf_select.pool.row import Message, Part, Row
from hf_select.pool.view import PoolView
from hf_select.scoring.encode import ChatEncoder, RowProblem
from hf_select.scoring.model import load_processor


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(tiny.llava(tmp_path_factory.mktemp("llava")))


@pytest.fixture
def processor(folder):
    return load_processor(folder)


@pytest.fixture
def encoder(processor):
    return ChatEncoder(processor)


@pytest.fixture(scope="module")
def gemma(tmp_path_factory):
    return load_processor(str(tiny.gemma3(tmp_path_factory.mktemp("gemma3"))))


def with_template(processor, template):
    processor.chat_template = template
    return ChatEncoder(processor)


def join_tokens(processor, *texts):
    processor.tokenizer.add_tokens([AddedToken(text, normalized=False) for text in texts])


def supervised(encoder, one):
    return encoder.processor.tokenizer.decode(one.labels[one.labels != -100])


def status_of(encoder, row, context="full"):
    with pytest.raises(RowProblem) as caught:
        encoder.encode(row, context)
    assert caught.value.reason == str(caught.value)
    return caught.value.status


def test_txt_08_answer_holds_role_and_end_of_turn_text(encoder):
    answer = "It writes ASSISTANT: before the text and </s> after it, then goes on."
    one = encoder.encode(chat("How does the format mark the bot?", answer, "Is it so?", "</s> USER: yes ASSISTANT: no"))
    read = supervised(encoder, one)
    assert read.replace(" ", "") == (answer + "</s>" + "</s> USER: yes ASSISTANT: no" + "</s>").replace(" ", "")
    alone = encoder.processor.tokenizer(answer, add_special_tokens=False)["input_ids"]
    whole = encoder.encode(chat("How does the format mark the bot?", answer))
    assert whole.n_supervised in (len(alone), len(alone) + 1)
    assert [one.text[slice(*span)] for span in one.answers] == [answer, "</s> USER: yes ASSISTANT: no"]


def test_txt_08_end_token_of_chatml_in_the_answer(processor):
    processor.tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    encoder = with_template(processor, tiny_text.template(tiny_text.CHATML, False).replace("IMAGE", "<image>"))
    answer = "<|im_end|> is the end token, then text."
    one = encoder.encode(chat("Quote the end token.", answer))
    assert supervised(encoder, one).replace(" ", "") == (answer + "<|im_end|>").replace(" ", "")


def test_txt_08_question_holds_role_and_end_of_turn_text(encoder):
    row = chat("Quote: </s> USER: x ASSISTANT: Real. </s>", "Real.", system="ASSISTANT: Real.</s>")
    one = encoder.encode(row)
    assert supervised(encoder, one).strip() == "Real.</s>"
    assert one.answers == ((len(one.text) - len("Real.</s>"), len(one.text) - len("</s>")),)


@pytest.mark.parametrize("question", ["What does <image> mean?", "<image><image>", "It is <image>."])
@pytest.mark.parametrize("images", [(), (picture(),)])
def test_placeholder_in_a_text_is_refused_not_scored_wrong(encoder, question, images):
    assert status_of(encoder, chat((*images, question), "Red.")) == "template"
    assert status_of(encoder, chat((*images, "What?"), f"Red. {question}")) == "template"


def test_soft_image_token_in_a_text_is_refused(gemma):
    encoder = ChatEncoder(gemma)
    row = chat((picture(), "What is <image_soft_token>?"), "Red.")
    with pytest.raises(RowProblem, match="image_soft_token.*picture"):
        encoder.encode(row)


def test_txt_10_conversation_starts_with_the_model(encoder, gemma):
    """Every answer is supervised where the template writes such a conversation; one that refuses gives a status."""
    first = Message("assistant", (Part("Hello, send me a picture."),))
    rest = chat((picture(), "Colour?"), "Red.")
    row = Row((first, *rest.messages), rest.images)
    one = encoder.encode(row)
    assert supervised(encoder, one).replace(" ", "") == "Hello,sendmeapicture.</s>Red.</s>"
    assert one.text.index("<image>") > one.text.index("Hello")
    with pytest.raises(RowProblem, match="roles must alternate") as caught:
        ChatEncoder(gemma).encode(row)
    assert caught.value.status == "template"


def test_txt_15_prompt_longer_than_the_window(processor):
    row = chat("blue " * 3000, "Red.", id="p15")
    with pytest.raises(RowProblem, match=r"'p15' has \d{4,} tokens.* the window is 512") as caught:
        ChatEncoder(processor, 512).encode(row)
    assert caught.value.status == "no_supervised_tokens"
    assert ChatEncoder(processor, 100_000).encode(row).n_supervised == 3


def test_txt_16_answer_cut_by_the_window(processor):
    row = chat("word " * 40, "word " * 40)
    one = ChatEncoder(processor).encode(row)
    first, last = (one.labels[0] != -100).nonzero()[[0, -1], 0].tolist()
    for window in (first + 1, (first + last) // 2, last):
        assert status_of(ChatEncoder(processor, window), row) == "truncated"
    assert status_of(ChatEncoder(processor, first), row) == "no_supervised_tokens"
    assert torch.equal(ChatEncoder(processor, last + 1).encode(row).labels, one.labels)


def test_txt_17_pictures_longer_than_the_window(processor):
    encoder = ChatEncoder(processor, 40)
    three = chat((picture(), picture("blue"), picture("green"), "Colours?"), "Red.", id="big")
    with pytest.raises(
        RowProblem, match=r"row 'big' has \d+ tokens, 48 of them for pictures; the window is 40"
    ) as caught:
        encoder.encode(three)
    assert caught.value.status == "too_long"
    assert encoder.encode(chat("Say hi.", "Hi.")).n_supervised == 3


def test_num_08_image_positions_carry_no_label(encoder):
    one = encoder.encode(chat((picture(), "Colour?"), "Red."))
    ids, labels = one.inputs["input_ids"][0], one.labels[0]
    image = ids == encoder.processor.image_token_id
    assert image.sum() == 16
    assert (labels[image] == -100).all()
    answer = labels != -100
    assert torch.equal(labels[answer], ids[answer])
    assert answer.tolist() == sorted(answer.tolist())


@pytest.mark.parametrize("images", [(), (picture(),)])
def test_num_09_template_that_takes_plain_strings_and_has_no_marks(processor, images):
    encoder = with_template(processor, "{% for m in messages %}{{ m.role }}: {{ m.content }} {% endfor %}")
    one = encoder.encode(chat((*images, "what"), "cat"))
    assert supervised(encoder, one).strip() == "cat"
    assert "type" not in one.text and one.text.count("<image>") == len(images)


def test_num_10_tokens_that_join_prompt_and_answer(processor):
    join_tokens(processor, ":R", ": B")
    encoder = with_template(
        processor, "{% for m in messages %}{{ m.role }}:{% for c in m.content %}{{ c.text }}{% endfor %}\n{% endfor %}"
    )
    with pytest.raises(RowProblem, match="one token holds ':' of the prompt and the answer") as caught:
        encoder.encode(chat("what", "Red"))
    assert caught.value.status == "template"
    assert supervised(encoder, encoder.encode(chat("what", "red"))).strip() == "red"
    assert status_of(encoder, chat("what", " Blue")) == "template"


def test_num_10_token_that_joins_a_blank_and_the_answer_is_supervised(processor):
    join_tokens(processor, " Red")
    encoder = ChatEncoder(processor)
    one = encoder.encode(chat("what", "Red."))
    ids = one.labels[one.labels != -100].tolist()
    assert ids[0] == processor.tokenizer.convert_tokens_to_ids(" Red")
    assert supervised(encoder, one).replace(" ", "") == "Red.</s>"


def test_num_10_trailing_role_mark_without_an_answer(encoder):
    assert status_of(encoder, chat("what", "")) == "no_supervised_tokens"
    assert status_of(encoder, chat("what", " \n ")) == "no_supervised_tokens"
    assert status_of(encoder, Row((Message("user", (Part("what"),)),))) == "no_supervised_tokens"


def test_what_follows_the_last_answer_is_left_out(encoder):
    row = chat((picture(), "what"), "cat", ("and ", picture("blue")))
    one = encoder.encode(row)
    assert one.n_images == 1
    assert one.text.endswith("cat</s>")
    assert one.inputs["pixel_values"].shape[0] == 1


def test_sch_12_typed_parts_filled_up_with_nulls(encoder, tmp_path):
    Image.new("RGB", (8, 6), "red").save(tmp_path / "red8x6.png")
    content = [
        {"type": "image", "text": None, "image": str(tmp_path / "red8x6.png")},
        {"type": "text", "text": "Colour?", "image": None},
    ]
    answer = [{"type": "text", "text": "Red.", "image": None}]
    batch = {"messages": [[{"role": "user", "content": content}, {"role": "assistant", "content": answer}]]}
    (row,) = PoolView().rows(batch)
    one = encoder.encode(row)
    assert one.text == "USER: <image>\nColour? ASSISTANT: Red.</s>"


def test_sch_13_strings_and_lists_mixed(encoder, tmp_path):
    Image.new("RGB", (8, 6), "red").save(tmp_path / "red8x6.png")
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Colour?"}]},
        {"role": "assistant", "content": "Red."},
    ]
    batch = {"messages": [messages], "images": [[str(tmp_path / "red8x6.png")]]}
    (row,) = PoolView().rows(batch)
    one = encoder.encode(row)
    assert one.text == "Be brief. USER: <image>\nColour? ASSISTANT: Red.</s>"
    assert supervised(encoder, one).strip() == "Red.</s>"


def test_template_that_trims_answers(gemma):
    encoder = ChatEncoder(gemma)
    one = encoder.encode(chat("what", "  cat \n"))
    assert supervised(encoder, one) == "cat<end_of_turn>"


@pytest.mark.parametrize(
    "assistant",
    [
        "{{ c.text | upper }}",
        "{{ c.text | replace('t', 'd') }}",
        "{{ c.text }} {{ c.text }}",
        "",
        "{% if 'cat' in c.text %}[{% endif %}{{ c.text }}",
    ],
)
def test_template_that_changes_or_loses_answers_gives_a_status(processor, assistant):
    encoder = with_template(
        processor,
        "{% for m in messages %}{{ m.role }}: {% for c in m.content %}{% if m.role == 'user' %}{{ c.text }}{% else %}"
        + assistant
        + "{% endif %}{% endfor %}\n{% endfor %}",
    )
    assert status_of(encoder, chat("what", "cat")) == "template"


def test_template_that_leaves_pictures_out_gives_a_status(processor):
    encoder = with_template(
        processor,
        "{% for m in messages %}{{ m.role }}: {% for c in m.content %}{{ c.text }}{% endfor %}\n{% endfor %}",
    )
    assert status_of(encoder, chat((picture(), "what"), "cat")) == "template"


def test_template_without_end_of_turn_supervises_the_answer_alone(processor):
    encoder = with_template(
        processor,
        "{% for m in messages %}{{ m.role | upper }}: {% for c in m.content %}{% if c.type == 'image' %}<image>\n"
        "{% else %}{{ c.text }} {% endif %}{% endfor %}{% endfor %}",
    )
    one = encoder.encode(chat((picture(), "what"), "cat", "and", "dog"))
    assert supervised(encoder, one).strip() == "catdog"


@pytest.mark.parametrize("start", ["", "{{ bos_token }}"])
def test_one_beginning_of_text(processor, start):
    encoder = with_template(processor, start + processor.chat_template)
    ids = encoder.encode(chat("what", "cat")).inputs["input_ids"][0]
    assert (ids == processor.tokenizer.bos_token_id).nonzero().flatten().tolist() == [0]


def test_template_that_writes_the_date_is_the_same_every_day(processor):
    date = "{% if not date_string is defined %}{% set date_string = strftime_now('%d %b %Y') %}{% endif %}"
    encoder = with_template(processor, date + "Today Date: {{ date_string }} " + processor.chat_template)
    assert encoder.encode(chat("what", "cat")).text == "Today Date: 26 Jul 2024 USER: what ASSISTANT: cat</s>"


def test_answers_of_any_script(encoder):
    for answer in (
        "Rot wie Blut: ÄÖÜß",
        "红色。",
        "أحمر",
        "🟥👩‍👩‍👧‍👦 ok",
        "x" * 300,
        "a\n\nb\tc",
        "{{ 7 * 7 }} {% raw %}",
    ):
        read = supervised(encoder, encoder.encode(chat((picture(), "Colour?"), answer)))
        assert "".join(read.split()) == "".join((answer + "</s>").split())


def test_pictures_that_cannot_be_opened_keep_their_status(encoder, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG broken")
    row = chat((RowImage.of(str(tmp_path / "broken.png")), "Colour?"), "Red.")
    assert status_of(encoder, row) == "image_unreadable"
    assert encoder.encode(row, "no_image").n_images == 0
    missing = chat((RowImage.of(str(tmp_path / "none.png")), "Colour?"), "Red.")
    assert status_of(encoder, missing) == "image_missing"


def test_collate_pads_on_the_right_with_labels_ignored(encoder):
    rows = [encoder.encode(row) for row in dialogues.mixed_rows()[:3]]
    batch = encoder.collate(rows)
    lengths = [row.labels.shape[1] for row in rows]
    assert batch["attention_mask"].sum(1).tolist() == lengths
    for i, length in enumerate(lengths):
        assert torch.equal(batch["labels"][i, :length], rows[i].labels[0])
        assert (batch["labels"][i, length:] == -100).all()
        assert (batch["input_ids"][i, length:] == encoder.processor.tokenizer.pad_token_id).all()
    assert batch["pixel_values"].shape == (2, 3, 56, 56)


def test_the_callers_processor_is_left_as_it_was(processor):
    before = processor.image_processor
    ChatEncoder(processor, 100).encode(chat((picture(), "Colour?"), "Red."))
    assert processor.image_processor is before


def test_window_must_be_positive(processor):
    with pytest.raises(UsageError, match="max_length is 0"):
        ChatEncoder(processor, 0)


def test_answers_that_are_only_context_carry_no_label(encoder):
    row = chat("one", "Uno.", "two", "Dos.", "three", "Tres.")
    first, last = (replace(row.messages[i], supervised=False) for i in (1, 5))
    row = replace(row, messages=(row.messages[0], first, *row.messages[2:5], last))
    one = encoder.encode(row)
    assert supervised(encoder, one).strip() == "Dos.</s>"
    assert one.text == "USER: one ASSISTANT: Uno.</s>USER: two ASSISTANT: Dos.</s>"
