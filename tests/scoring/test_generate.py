import pictures
import pytest
import tiny

from hf_select.errors import HFSelectError, UsageError
from hf_select.pool.images import ImageProblem, RowImage
from hf_select.pool.row import IMAGE, Message, Part, Row
from hf_select.scoring import generate
from hf_select.scoring.generate import conversation, generate_answers
from hf_select.scoring.model import load_vlm


def asked(text, *images):
    return Row((Message("user", (*[IMAGE] * len(images), Part(text))),), tuple(map(RowImage.of, images)))


@pytest.fixture(scope="module")
def vlm(tmp_path_factory):
    return load_vlm(str(tiny.llava(tmp_path_factory.mktemp("llava"))), dtype="float32", device="cpu")


@pytest.fixture(scope="module")
def rows():
    picture = pictures.noise()
    return [
        asked("How many circles are there?", picture),
        asked("One"),
        asked("What is it? One, two, three, four, five, six, seven, eight, nine, ten.", picture),
        asked("Is there text in the second picture?", picture, picture),
        asked("two three"),
    ]


def test_same_text_at_any_batch_size_with_and_without_pictures(vlm, rows):
    alone = [generate_answers(*vlm, [row], max_new_tokens=6)[0] for row in rows]
    assert len(set(alone)) > 1
    for size in (1, 3, 4):
        assert generate_answers(*vlm, rows, batch_size=size, max_new_tokens=6) == alone
    assert generate_answers(*vlm, rows[::-1], batch_size=3, max_new_tokens=6) == alone[::-1]


def test_the_processor_is_left_as_it_was(vlm, rows):
    before = vlm[1].tokenizer.padding_side
    generate_answers(*vlm, rows, max_new_tokens=1)
    assert vlm[1].tokenizer.padding_side == before


def test_greedy_whatever_the_checkpoint_says(vlm, rows):
    model, processor = vlm
    plain = generate_answers(model, processor, rows, max_new_tokens=6)
    model.generation_config.do_sample, model.generation_config.temperature = True, 9.0
    assert generate_answers(model, processor, rows, max_new_tokens=6) == plain


def test_the_answer_of_a_row_is_not_shown():
    row = Row((Message("user", (Part("a"),)), Message("assistant", (Part("secret"),))))
    assert conversation(row) == [{"role": "user", "content": [{"type": "text", "text": "a"}]}]


def test_earlier_turns_are_shown():
    turns = [Message("user", (Part("a"),)), Message("assistant", (Part("b"),)), Message("user", (Part("c"),))]
    assert [m["role"] for m in conversation(Row(tuple(turns)))] == ["user", "assistant", "user"]


def test_a_broken_picture_stops_it(vlm):
    with pytest.raises(ImageProblem):
        generate_answers(*vlm, [asked("a", b"no picture")])


def test_an_unusable_row_is_named(vlm):
    row = Row(id="r7", status="image_missing", reason="there is no file x.png.")
    with pytest.raises(UsageError, match=r"row r7 can't be asked \(image_missing\)"):
        generate_answers(*vlm, [row])


def test_errors_of_the_model_propagate(vlm, rows, monkeypatch):
    monkeypatch.setattr(vlm[0], "generate", lambda **inputs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        generate_answers(*vlm, rows)


def test_out_of_memory_halves_the_batch_and_then_fails_with_the_row(vlm, rows, monkeypatch):
    import torch

    sizes = []
    real = generate._batch

    def small_device(model, processor, rows, tokens):
        sizes.append(len(rows))
        if len(rows) > 1:
            raise torch.OutOfMemoryError
        return real(model, processor, rows, tokens)

    whole = generate_answers(*vlm, rows, batch_size=4, max_new_tokens=3)
    monkeypatch.setattr(generate, "_batch", small_device)
    assert generate_answers(*vlm, rows, batch_size=4, max_new_tokens=3) == whole
    assert sizes[:2] == [3, 1]

    def no_device(*_):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(generate, "_batch", no_device)
    with pytest.raises(HFSelectError, match="row 0 alone needs more memory"):
        generate_answers(*vlm, rows)
