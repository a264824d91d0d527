"""Every family of vision-language models goes through the same engine, with and without generation marks."""

import sys

import dialogues
import pytest
import tiny
import tiny_text
import torch

from hf_select.scoring.encode import ChatEncoder
from hf_select.scoring.engine import AnswerEngine
from hf_select.scoring.model import context_window, load_vlm

CONTEXTS = ("full", "no_question", "no_image")
INVERSE = ("inverse", "inverse_no_answer")
FAMILIES = tiny.TORCHVISION_FAMILIES if "torchvision_shim" in sys.modules else tiny.FAMILIES
TOLERANCE = 1e-5


@pytest.fixture(scope="module", params=FAMILIES)
def loaded(request, tmp_path_factory):
    folder = FAMILIES[request.param](tmp_path_factory.mktemp(request.param))
    return load_vlm(str(folder))


@pytest.fixture
def rows():
    return dialogues.mixed_rows()


def encoder_of(loaded):
    model, processor = loaded
    return ChatEncoder(processor, context_window(model, processor.tokenizer))


def with_marks(processor, family):
    texts = {
        "llava": tiny_text.VICUNA,
        "llava_next": tiny_text.MISTRAL,
        "idefics3": tiny_text.IDEFICS,
        "smolvlm": tiny_text.IDEFICS,
        "gemma3": tiny_text.GEMMA,
        "qwen2_5_vl": tiny_text.CHATML.replace("IMAGE", "<|vision_start|><|image_pad|><|vision_end|>"),
        "internvl": tiny_text.CHATML.replace("IMAGE", "<IMG_CONTEXT>\n"),
    }
    processor.chat_template = tiny_text.template(texts[family], marks=True)


def conversation(row):
    images = iter(row.images)
    return [
        {
            "role": m.role,
            "content": [
                {"type": "image", "image": next(images).open()} if p.is_image else {"type": "text", "text": p.text}
                for p in m.parts
            ],
        }
        for m in row.messages
    ]


def losses(results):
    assert [r.status for r in results] == ["ok"] * len(results), [r.reason for r in results]
    return torch.tensor([[r.facts[c][0] / r.facts[c][1] for c in r.facts] for r in results], dtype=torch.float64)


@pytest.mark.parametrize("context", CONTEXTS)
def test_supervised_are_the_answers_and_their_ends(loaded, rows, context):
    encoder = encoder_of(loaded)
    for row in rows:
        one = encoder.encode(row, context)
        read = encoder.processor.tokenizer.decode(one.labels[one.labels != -100])
        end = read[len(read.rstrip(">")) - len(read) :] and "<" + read.rpartition("<")[2]
        assert read.replace(" ", "") == "".join(answer + end for answer in row.answers).replace(" ", "")
        assert end in {"</s>", "<end_of_utterance>", "<end_of_turn>", "<|im_end|>"}
        assert one.n_images == (0 if context == "no_image" else len(row.images))


@pytest.mark.parametrize("context", INVERSE)
def test_supervised_are_the_questions_where_they_are_asked_for(loaded, rows, context):
    encoder = encoder_of(loaded)
    for row in rows:
        one = encoder.encode(row, context)
        read = encoder.processor.tokenizer.decode(one.labels[one.labels != -100])
        end = "<" + read.rpartition("<")[2]
        questions = [question for question, _ in row.turns]
        assert read.replace(" ", "") == "".join(question + end for question in questions).replace(" ", "")
        assert one.n_images == len(row.images)


def test_generation_marks_change_nothing_and_agree(loaded, rows, request):
    """The mask transformers builds from generation marks is ours plus line breaks the family's template encloses."""
    plain = encoder_of(loaded)
    model, processor = loaded
    before = processor.chat_template
    try:
        with_marks(processor, request.node.callspec.params["loaded"])
        marked = encoder_of(loaded)
        for row in rows:
            ours = plain.encode(row)
            assert torch.equal(marked.encode(row).labels, ours.labels)
            theirs = processor.apply_chat_template(
                conversation(row),
                tokenize=True,
                return_dict=True,
                return_tensors="pt",
                return_assistant_tokens_mask=True,
            )
            length = ours.labels.shape[1]
            assert torch.equal(theirs["input_ids"][:, :length], ours.inputs["input_ids"])
            supervised = ours.labels[0] != -100
            mask = torch.as_tensor(theirs["assistant_masks"])[0, :length].bool()
            extra = ours.inputs["input_ids"][0, mask & ~supervised]
            assert processor.tokenizer.decode(extra).strip() == ""
            blank = ours.inputs["input_ids"][0, supervised & ~mask]
            assert processor.tokenizer.decode(blank).strip() == ""
    finally:
        processor.chat_template = before


def test_sum_is_the_models_own_label_loss(loaded, rows):
    model, processor = loaded
    encoder = encoder_of(loaded)
    results = AnswerEngine(model, encoder, CONTEXTS + INVERSE).score(rows)
    for row, result in zip(rows, results, strict=True):
        assert result.status == "ok"
        theirs = processor.apply_chat_template(conversation(row), tokenize=True, return_dict=True, return_tensors="pt")
        assert result.n_tokens == theirs["input_ids"].shape[1]
        for context in CONTEXTS + INVERSE:
            one = encoder.encode(row, context)
            inputs = dict(one.inputs)
            if context == "full":
                inputs = dict(theirs)
                missing = inputs["input_ids"].shape[1] - one.labels.shape[1]
                labels = torch.nn.functional.pad(one.labels, (0, missing), value=-100)
            else:
                labels = one.labels
            with torch.no_grad():
                own = model(**inputs, labels=labels).loss.double() * one.n_supervised
            total, count = result.facts[context]
            assert count == one.n_supervised
            assert total == pytest.approx(own.item(), rel=TOLERANCE)


def test_another_picture_gives_another_loss(loaded):
    """Without this, a model that can't see would pass every test here, and swapped pictures too."""
    rows = [dialogues.chat((dialogues.picture(colour), "Colour?"), "Red.") for colour in ("red", "green", "blue")]
    found = losses(AnswerEngine(loaded[0], encoder_of(loaded), CONTEXTS, micro_batch=8).score(rows))
    for context in (0, 1):
        assert (found[:, context].diff().abs() > 100 * TOLERANCE * found[:-1, context]).all()
    torch.testing.assert_close(found[1:, 2], found[:-1, 2], rtol=TOLERANCE, atol=0)


def test_batch_order_and_neighbours_change_nothing(loaded, rows):
    """NUM-05."""
    model, _ = loaded
    alone = losses(AnswerEngine(model, encoder_of(loaded), CONTEXTS).score(rows))
    batched = losses(AnswerEngine(model, encoder_of(loaded), CONTEXTS, micro_batch=8).score(rows))
    torch.testing.assert_close(batched, alone, rtol=TOLERANCE, atol=0)
    order = [4, 2, 0, 5, 1, 3]
    shuffled = losses(AnswerEngine(model, encoder_of(loaded), CONTEXTS, micro_batch=3).score([rows[i] for i in order]))
    torch.testing.assert_close(shuffled, alone[order], rtol=TOLERANCE, atol=0)
    again = [losses(AnswerEngine(model, encoder_of(loaded), CONTEXTS).score([row])) for row in rows]
    assert torch.equal(torch.cat(again), alone)


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_side_of_the_tokenizer_changes_nothing(loaded, rows, side):
    model, processor = loaded
    before, expected = (
        processor.tokenizer.padding_side,
        losses(AnswerEngine(model, encoder_of(loaded), CONTEXTS).score(rows)),
    )
    try:
        processor.tokenizer.padding_side = side
        found = losses(AnswerEngine(model, encoder_of(loaded), CONTEXTS, micro_batch=8).score(rows))
    finally:
        processor.tokenizer.padding_side = before
    torch.testing.assert_close(found, expected, rtol=TOLERANCE, atol=0)


def test_pictures_are_processed_and_seen_once_for_all_contexts(loaded, monkeypatch):
    model, processor = loaded
    tower = next(
        m for n, m in model.named_modules() if n.rpartition(".")[2] in {"vision_tower", "vision_model", "visual"}
    )
    seen, processed = [], []
    preprocess = processor.image_processor.preprocess
    monkeypatch.setattr(
        processor.image_processor, "preprocess", lambda *a, **k: (processed.append(1), preprocess(*a, **k))[1]
    )
    hook = tower.register_forward_hook(lambda *_: seen.append(1))
    rows = [dialogues.chat((dialogues.picture(c), "Colour?"), "Red.") for c in ("red", "green", "blue")]
    AnswerEngine(model, encoder_of(loaded), CONTEXTS, micro_batch=8).score(rows)
    hook.remove()
    assert len(seen) == 1
    assert len(processed) == 3
    assert "get_image_features" not in vars(model.model)
