"""Hidden states pooled over places: the numbers transformers itself gives, taken apart by plain loops."""

import functools
import sys

import numpy as np
import pytest
import tiny
import torch
from dialogues import chat, mixed_rows, picture
from transformers import AutoModelForImageTextToText

import hf_select as hs
from hf_select.embedding.hidden import HiddenEmbedding
from hf_select.errors import UnknownName, UsageError
from hf_select.scoring.encode import ChatEncoder
from hf_select.scoring.loaded import forget_loaded
from hf_select.scoring.model import load_processor, load_vlm

FAMILIES = tiny.TORCHVISION_FAMILIES if "torchvision_shim" in sys.modules else tiny.FAMILIES
LAYERS = (0, 1, -1)
PARTS = ("last", "vision", "text", "attended")
SEEN = [row for row in mixed_rows() if row.images]


@pytest.fixture(scope="module", params=FAMILIES)
def family(request, tmp_path_factory):
    return str(FAMILIES[request.param](tmp_path_factory.mktemp(request.param)))


@pytest.fixture(scope="module")
def llava(tmp_path_factory):
    return str(tiny.llava(tmp_path_factory.mktemp("llava"), num_hidden_layers=4))


@functools.cache
def opened(folder):
    model = AutoModelForImageTextToText.from_pretrained(folder, attn_implementation="eager").eval()
    o_proj = {}
    for at, block in enumerate(model.get_decoder().layers):
        block.self_attn.o_proj.register_forward_hook(lambda _, __, out, at=at: o_proj.update({at: out[0].numpy()}))
    return model, ChatEncoder(load_processor(folder)), o_proj


def plainly(folder, row):
    """Everything transformers returns for a row, without batches, hooks and early ends."""
    model, encoder, o_proj = opened(folder)
    one = encoder.encode(row)
    with torch.no_grad():
        out = model(**one.inputs, output_hidden_states=True, output_attentions=True)
    config = model.config.to_dict()
    token = config.get("image_token_id", config.get("image_token_index"))
    ids = one.inputs["input_ids"][0].tolist()
    vision = [at for at, one_id in enumerate(ids) if one_id == token]
    answer = [at for at, label in enumerate(one.labels[0].tolist()) if label != -100]
    text = [at for at in range(len(ids)) if at not in vision]
    states = [state[0].numpy() for state in out.hidden_states]
    asking = [at for at in text if at not in answer]
    places = {"last": [len(ids) - 1], "vision": vision, "text": text}
    if vision:
        places["attended"] = covering(out.attentions[0][0].numpy(), asking, vision)
    return states, [o_proj[at] for at in sorted(o_proj)], places


def covering(attention, asking, vision):
    mass = {column: 0.0 for column in vision}
    for column in vision:
        for row in asking:
            mass[column] += float(np.mean([head[row, column] for head in attention])) / len(asking)
    total, chosen, reached = sum(mass.values()), [], 0.0
    for column in sorted(vision, key=lambda column: -mass[column]):
        chosen.append(column)
        reached += mass[column] / total
        if reached >= 0.9:
            break
    return chosen


def mean(state, places):
    return np.mean([state[at] for at in places], axis=0)


def close(a, b):
    return np.abs(np.asarray(a) - b).max() <= 1e-5 * max(1.0, float(np.linalg.norm(b)))


def test_every_part_and_layer_is_what_transformers_returns(family):
    scorer = HiddenEmbedding(model=family, layers=LAYERS, parts=PARTS)
    out = scorer.score(SEEN)
    assert out["hidden_status"] == ["ok"] * len(SEEN), out["hidden_reason"]
    assert scorer.adds["hidden"] == f"fixed_size_list<float32>[{64 * 12}]"
    for row, vector in zip(SEEN, out["hidden"], strict=True):
        states, _, places = plainly(family, row)
        assert vector.dtype == np.float32
        assert 1 <= len(places["attended"]) <= len(places["vision"])
        expected = [mean(states[layer], places[part]) for part in PARTS for layer in LAYERS]
        assert close(vector, np.concatenate(expected))


def test_last_reads_rows_of_text_too_and_vision_has_a_status_for_them(family):
    rows = mixed_rows()
    out = HiddenEmbedding.last(model=family).score(rows)
    for row, vector in zip(rows, out["last_hidden"], strict=True):
        assert close(vector, plainly(family, row)[0][-1][-1])
    seen = HiddenEmbedding.shallow(model=family).score(rows)
    assert seen["shallow_hidden_status"] == ["ok" if row.images else "no_image" for row in rows]
    assert [vector is None for vector in seen["shallow_hidden"]] == [not row.images for row in rows]
    assert close(seen["shallow_hidden"][0], mean(*pick(plainly(family, rows[0]), 1, "vision")))


def pick(found, layer, part):
    states, _, places = found
    return states[layer], places[part]


def test_coincide_is_tanh_unit_length_and_both_halves(llava):
    scorer = HiddenEmbedding.coincide(model=llava)
    out = scorer.score(SEEN)
    assert scorer.adds["coincide_hidden"] == f"fixed_size_list<float32>[{64 * 10}]"
    for row, vector in zip(SEEN, out["coincide_hidden"], strict=True):
        _, o_proj, places = plainly(llava, row)
        pieces = []
        for part in ("vision", "text"):
            for layer in (1, 1, 2, 3, 3):  # sixths of four layers, to the nearest
                piece = np.tanh(mean(o_proj[layer - 1], places[part]))
                pieces.append(piece / np.linalg.norm(piece) / np.sqrt(10))
        assert close(vector, np.concatenate(pieces))
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-6)


def test_attended_is_behind_the_first_layer(llava):
    out = HiddenEmbedding.attended(model=llava).score(SEEN[:2])
    for row, vector in zip(SEEN, out["attended_hidden"], strict=False):
        assert close(vector, mean(*pick(plainly(llava, row), 1, "attended")))


def test_unit_length_alone(llava):
    raw = HiddenEmbedding(model=llava, parts=("text",)).score(SEEN[:1])["hidden"][0]
    unit = HiddenEmbedding(model=llava, parts=("text",), normalize=True).score(SEEN[:1])["hidden"][0]
    assert close(unit, raw / np.linalg.norm(raw))


def test_the_same_vectors_in_any_batch_and_order(llava):
    rows = mixed_rows()
    vectors = []
    for micro_batch, budget, order in ((1, None, 1), (4, None, -1), (6, 80, 1)):
        scorer = HiddenEmbedding(model=llava, layers=(1, -1), micro_batch=micro_batch, token_budget=budget)
        vectors.append(np.array(scorer.score(rows[::order])["hidden"])[::order])
    for other in vectors[1:]:
        assert close(other, vectors[0])


def test_the_forward_ends_at_the_last_layer_asked_for(llava):
    scorer = HiddenEmbedding(model=llava, layers=(1, 2), parts=("attended",))
    model = scorer.loaded.states.model
    before = model.config.get_text_config()._attn_implementation
    seen = []
    for at, block in enumerate(model.get_decoder().layers):
        block.register_forward_hook(lambda *_, at=at: seen.append(at))
    model.lm_head.register_forward_hook(lambda *_: seen.append("logits"))
    scorer.score(SEEN[:1])
    assert seen in ([0], [0, 1])  # our own hook of layer 2 comes before the test's
    assert model.config.get_text_config()._attn_implementation == before
    HiddenEmbedding.of(model, load_processor(llava)).score(SEEN[:1])
    assert "logits" not in seen


def test_a_model_in_memory_is_used_as_it_is(llava):
    model, processor = load_vlm(llava)
    model.train()
    scorer = HiddenEmbedding.of(model, processor, layers=(2,), prefix="m_")
    from_disk = HiddenEmbedding(model=llava, layers=(2,)).score(SEEN)["hidden"]
    assert np.array_equal(np.array(scorer.score(SEEN)["m_hidden"]), np.array(from_disk))
    assert model.training


def test_rows_that_cannot_be_embedded_have_a_reason(llava):
    rows = [
        chat("Hi", "Yes.", status="invalid", reason="says the reader"),
        chat((picture(), "Colour?"), "word " * 300),
        chat((picture(), "Colour?"), "Red.", "And?", "Blue."),
        chat("Hi", "Hello.", (picture(), "Nothing?"), " "),
        chat("Hi", "  "),
    ]
    out = HiddenEmbedding(model=llava, parts=("vision",), max_length=120).score(rows)
    assert out["hidden_status"] == ["invalid", "truncated", "ok", "ok", "no_supervised_tokens"]
    assert out["hidden"][0] is None and out["hidden"][2] is not None
    assert out["hidden_reason"][0] == "says the reader"


def test_memory_that_runs_out_makes_batches_smaller_and_costs_one_row_at_most(llava, monkeypatch):
    rows = mixed_rows()
    expected = np.array(HiddenEmbedding(model=llava).score(rows)["hidden"])
    forget_loaded()
    scorer = HiddenEmbedding(model=llava, micro_batch=6)
    states = scorer.loaded.states
    whole = states.pooled
    sizes = []

    def pooled(batch):
        sizes.append(len(batch["labels"]))
        if sizes[-1] > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(batch)

    monkeypatch.setattr(states, "pooled", pooled)
    assert close(scorer.score(rows)["hidden"], expected)
    assert max(sizes) > 1
    sizes.clear()
    scorer.score(rows)
    assert sizes == [1] * len(rows)


def test_equal_rows_are_embedded_once(llava):
    scorer = HiddenEmbedding(model=llava, layers=(1,))
    seen = []
    hook = scorer.loaded.states.model.get_decoder().register_forward_pre_hook(lambda *_: seen.append(1))
    out = scorer.score([chat("Hello", "Hi."), chat("Hello", "Hi.")])
    hook.remove()
    assert len(seen) == 1 and np.array_equal(*out["hidden"])


def test_numbers_that_overflow_are_refused(llava, monkeypatch):
    scorer = HiddenEmbedding(model=llava, squash="tanh", normalize=True)
    monkeypatch.setattr(scorer.loaded.states, "pooled", lambda batch: np.full((1, 1, 1, 64), np.inf, np.float32))
    assert scorer.score(SEEN[:1])["hidden_status"] == ["non_finite"]
    monkeypatch.setattr(scorer.loaded.states, "pooled", lambda batch: np.zeros((1, 1, 1, 64), np.float32))
    assert scorer.score(SEEN[:1])["hidden_status"] == ["zero_vector"]


def test_score_adds_a_typed_column(llava, tmp_path):
    import datasets
    import toys

    scorer = HiddenEmbedding.last(model=llava, storage="float16")
    scored = hs.score(toys.pool(3), scorer, cache_dir=tmp_path, progress=False)
    assert scored.features["last_hidden"] == datasets.List(datasets.Value("float16"), length=64)
    assert scored["last_hidden_status"][:] == ["ok"] * 3


def test_which_states_are_pictures_must_be_known(llava):
    model, processor = load_vlm(llava)
    vars(model.config)["image_token_index"] = None
    assert HiddenEmbedding.of(model, processor).score([chat("Hi", "Hello.")])["hidden_status"] == ["ok"]
    with pytest.raises(UsageError, match="which states of memory:.* belong to pictures can't be told"):
        HiddenEmbedding.of(model, processor, parts=("vision",)).score(SEEN[:1])


def test_wrong_settings_are_one_sentence(llava):
    with pytest.raises(UnknownName, match="unknown part 'image'; allowed: "):
        HiddenEmbedding(model=llava, parts=("image",))
    with pytest.raises(UnknownName, match="unknown tap 'mlp'"):
        HiddenEmbedding(model=llava, tap="mlp")
    with pytest.raises(UnknownName, match="unknown squash 'relu'"):
        HiddenEmbedding(model=llava, squash="relu")
    for layers in ((), (1, 1), (1.0,), (True,), ("1",)):
        with pytest.raises(UsageError, match="give whole numbers from 0 up"):
            HiddenEmbedding(model=llava, layers=layers)
    with pytest.raises(UsageError, match="give whole numbers from 1 up"):
        HiddenEmbedding(model=llava, layers=(0,), tap="o_proj")
    with pytest.raises(UsageError, match="each once"):
        HiddenEmbedding(model=llava, parts=("last", "last"))
    with pytest.raises(UsageError, match="micro_batch=0: give a whole number"):
        HiddenEmbedding(model=llava, micro_batch=0)
    with pytest.raises(UsageError, match="layer 5 of .*: its states are 0 to 4, or -1 to -5 from the end"):
        HiddenEmbedding(model=llava, layers=(5,)).score(SEEN[:1])
