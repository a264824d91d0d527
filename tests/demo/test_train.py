"""The shipped model is what the script in the repository makes."""

import json
from random import Random

import numpy as np
import pytest

from hf_select.demo import train
from hf_select.demo.lessons import draw, lessons
from hf_select.demo.run import MODEL

LOSS = 0.526
"""Held-out loss of the shipped model, nats a token, as `benchmarks/demo_model.py` printed it."""

TOLERANCE = 0.1
"""How far a rebuild may be from it: sums in another order give another path through training."""


@pytest.fixture(scope="module")
def shipped():
    from hf_select.scoring.model import load_vlm

    return load_vlm(str(MODEL), dtype="float32", device="cpu")


def test_the_tokenizer_is_rebuilt_equal():
    assert (
        json.loads((MODEL / "tokenizer.json").read_text())["model"]
        == json.loads(train.make_tokenizer().to_str())["model"]
    )


def test_the_configuration_is_rebuilt_equal(shipped, tmp_path):
    model = train.make_model(train.make_tokenizer())
    model.save_pretrained(tmp_path)
    ours, theirs = (json.loads((folder / "config.json").read_text()) for folder in (tmp_path, MODEL))
    for config in (ours, theirs, *(c[part] for c in (ours, theirs) for part in ("text_config", "vision_config"))):
        config.pop("dtype", None)
        config.pop("transformers_version", None)
    assert ours == theirs
    shapes = {name: p.shape for name, p in shipped[0].named_parameters()}
    assert {name: p.shape for name, p in model.named_parameters()} == shapes


def test_training_writes_prompts_as_the_chat_template_does(shipped):
    processor = shipped[1]
    scene = draw(Random(3))
    turns = lessons(Random(3), scene, 2)
    ids, labels = train.encode(train.make_tokenizer(), turns, 64)
    messages = []
    for number, (question, answer) in enumerate(turns):
        image = [{"type": "image", "image": scene.canvas.image}] if number == 0 else []
        messages.append({"role": "user", "content": [*image, {"type": "text", "text": f"\n{question}"}]})
        messages.append({"role": "assistant", "content": [{"type": "text", "text": answer}]})
    inputs = processor.apply_chat_template(messages, tokenize=True, return_dict=True, return_tensors="np")
    assert inputs["input_ids"][0].tolist() == ids
    assert np.allclose(inputs["pixel_values"], train.pixels([scene.canvas.image]).numpy(), atol=1e-5)
    supervised = [token for token in labels if token != -100]
    said = processor.tokenizer.decode(supervised)
    assert said == "".join(f"{answer}<|end|>" for _, answer in turns)


def test_supervised_tokens_are_those_of_the_engine(shipped):
    from hf_select.pool.images import RowImage
    from hf_select.pool.row import IMAGE, Message, Part, Row
    from hf_select.scoring.encode import ChatEncoder

    scene = draw(Random(5))
    (question, answer), *_ = lessons(Random(5), scene, 1)
    row = Row(
        (Message("user", (IMAGE, Part(question))), Message("assistant", (Part(answer),))),
        (RowImage.of(scene.canvas.image),),
    )
    encoder = ChatEncoder(shipped[1], 512)
    batch = encoder.collate([encoder.encode(row)])
    ids, labels = train.encode(train.make_tokenizer(), [(question, answer)], 64)
    assert batch["input_ids"][0].tolist() == ids
    assert batch["labels"][0].tolist() == labels


def test_the_shipped_model_has_the_loss_it_was_built_with(shipped):
    loss = train.held_out_loss(shipped[0], train.make_tokenizer(), conversations=64)
    assert loss == pytest.approx(LOSS, abs=0.15)


def test_a_short_training_is_the_same_twice(tmp_path):
    first, again = (train.build(tmp_path / name, vision_steps=2, language_steps=2) for name in "ab")
    assert first["held_out_loss"] == again["held_out_loss"]
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in "ab"]
    assert weights[0] == weights[1]


@pytest.mark.slow
def test_the_shipped_model_can_be_rebuilt(tmp_path):
    assert train.build(tmp_path)["held_out_loss"] == pytest.approx(LOSS, abs=TOLERANCE)
