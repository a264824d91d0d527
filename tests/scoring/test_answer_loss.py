"""The scorer as users meet it: columns, statuses, equality whatever the neighbours, and nothing lost when memory is."""

import inspect
import math
import pickle
import subprocess
import sys

import pytest
import tiny
import torch
from datasets import Dataset
from dialogues import chat, mixed_rows, picture
from PIL import Image

import hf_select as hs
from hf_select.errors import HFSelectError, UsageError
from hf_select.pool.images import RowImage
from hf_select.pool.view import PoolView
from hf_select.scoring.answer_loss import AnswerLoss
from hf_select.scoring.model import load_vlm

CONTEXTS = ("full", "no_question", "no_image")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(tiny.llava(tmp_path_factory.mktemp("llava")))


@pytest.fixture(scope="module")
def scorer(folder):
    return AnswerLoss(model=folder, contexts=CONTEXTS)


@pytest.fixture
def live(folder):
    return load_vlm(folder)


@pytest.fixture
def pictures(tmp_path):
    for name, colour in {"red8x6.png": "red", "blue8x6.png": "blue"}.items():
        Image.new("RGB", (8, 6), colour).save(tmp_path / name)
    Image.effect_noise((64, 64), 80).convert("RGB").save(tmp_path / "whole.jpg")
    whole = (tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    return str(tmp_path)


def llava_rows(*rows):
    """A batch of the LLaVA schema from (image or None, human, gpt, human, gpt, ...)."""
    conversations = [
        [{"from": "gpt" if i % 2 else "human", "value": text} for i, text in enumerate(turns)] for _, *turns in rows
    ]
    return {"image": [image for image, *_ in rows], "conversations": conversations}


def numbers(columns):
    return {name: values for name, values in columns.items() if "status" not in name and "reason" not in name}


def assert_no_numbers(columns, i):
    assert [values[i] for values in numbers(columns).values()] == [None] * len(numbers(columns))


def test_columns_and_types_through_map(folder, pictures):
    view = PoolView(image_root=pictures)
    scorer = AnswerLoss(model=folder, contexts=CONTEXTS, prefix="seed_", view=view)
    pool = Dataset.from_dict(
        llava_rows(("red8x6.png", "<image>\nColour?", "Red."), ("none.png", "<image>\nColour?", "Red."))
    )
    scored = pool.map(scorer, batched=True, batch_size=1)
    new = {name: str(scored.features[name].dtype) for name in scored.column_names if name.startswith("seed_")}
    assert new == dict(scorer.adds)
    assert new == {
        **{f"seed_loss_{c}": "float32" for c in CONTEXTS},
        **{f"seed_tokens_{c}": "int32" for c in CONTEXTS},
        **{"seed_n_tokens": "int32", "seed_loss_status": "string", "seed_loss_reason": "string"},
    }
    assert scored["seed_loss_status"][:] == ["ok", "image_missing"]
    assert scored["seed_loss_reason"][0] == "" and "none.png" in scored["seed_loss_reason"][1]
    assert_no_numbers({name: scored[name][:] for name in new}, 1)
    assert scored["seed_tokens_full"][0] == scored["seed_tokens_no_image"][0] == 3
    assert math.isfinite(scored["seed_loss_full"][0])


def test_public_name(folder):
    assert hs.AnswerLoss is AnswerLoss


def test_sch_02_text_only_row_in_a_multimodal_pool(folder, pictures):
    scorer = AnswerLoss(model=folder, contexts=CONTEXTS, view=PoolView(image_root=pictures))
    mixed = llava_rows(
        ("red8x6.png", "<image>\nName the colour.", "Red."),
        (None, "Give a synonym of quick.", "Fast.", "And of slow?", "Sluggish."),
    )
    both, alone = scorer(mixed), scorer({name: values[1:] for name, values in mixed.items()})
    assert both["loss_status"] == ["ok", "ok"]
    for name, values in numbers(both).items():
        assert values[1] == pytest.approx(alone[name][0], rel=1e-5)
    assert both["loss_no_image"][1] == both["loss_full"][1]
    assert both["loss_no_image"][0] != both["loss_full"][0]


def test_img_09_truncated_picture_costs_its_own_row(folder, pictures):
    scorer = AnswerLoss(model=folder, view=PoolView(image_root=pictures))
    rows = [
        ("red8x6.png", "<image>\nColour?", "Red."),
        ("truncated.jpg", "<image>\nColour?", "Red."),
        ("blue8x6.png", "<image>\nColour?", "Blue."),
    ]
    found = scorer(llava_rows(*rows))
    assert found["loss_status"] == ["ok", "image_unreadable", "ok"]
    assert "truncated.jpg" in found["loss_reason"][1]
    assert_no_numbers(found, 1)
    without = scorer(llava_rows(rows[0], rows[2]))
    assert [found["loss_full"][0], found["loss_full"][2]] == without["loss_full"]


@pytest.mark.parametrize("micro_batch", [None, 4])
def test_img_13_one_bad_picture_in_a_batch_of_eight_shifts_nothing(folder, pictures, micro_batch):
    scorer = AnswerLoss(
        model=folder, contexts=CONTEXTS, view=PoolView(image_root=pictures), prefix="x_", micro_batch=micro_batch
    )
    files = ["red8x6.png", "blue8x6.png", "whole.jpg", "red8x6.png", "truncated.jpg", "blue8x6.png", "whole.jpg", None]
    rows = [(file, "<image>\nColour?" if file else "Say hi.", "word " * (i + 1)) for i, file in enumerate(files)]
    found = scorer(llava_rows(*rows))
    assert found["x_loss_status"] == ["ok"] * 4 + ["image_unreadable"] + ["ok"] * 3
    assert "truncated.jpg" in found["x_loss_reason"][4]
    assert_no_numbers(found, 4)
    without = scorer(llava_rows(*rows[:4], *rows[5:]))
    for name, values in numbers(found).items():
        left = values[:4] + values[5:]
        assert left == (without[name] if micro_batch is None else pytest.approx(without[name], rel=1e-5))
    assert len(set(found["x_loss_full"])) == 8


def test_num_05_rows_with_and_without_picture_in_one_batch(folder, pictures):
    view = PoolView(image_root=pictures)
    rows = [
        ("red8x6.png", "<image>\nColour?", "Red."),
        (None, "Say hi.", "Hi."),
        ("blue8x6.png", "<image>\nColour?", "Blue."),
    ]
    batched = AnswerLoss(model=folder, contexts=CONTEXTS, view=view, micro_batch=8)(llava_rows(*rows))
    for i, row in enumerate(rows):
        alone = AnswerLoss(model=folder, contexts=CONTEXTS, view=view)(llava_rows(row))
        for name, values in numbers(batched).items():
            assert values[i] == pytest.approx(alone[name][0], rel=1e-5)


def test_sch_37_equal_rows_get_equal_scores(folder):
    rows = [chat((picture(), "Colour?"), "Red.") for _ in range(3)] + mixed_rows()
    for micro_batch in (None, 4):
        found = AnswerLoss(model=folder, contexts=CONTEXTS, micro_batch=micro_batch).score(rows)
        for values in found.values():
            assert values[0] == values[1] == values[2]


def test_txt_04_a_picture_without_placeholder_is_seen(folder, pictures):
    scorer = AnswerLoss(model=folder, view=PoolView(image_root=pictures))
    found = scorer(llava_rows(("red8x6.png", "Colour?", "Red."), (None, "Colour?", "Red.")))
    assert found["loss_status"] == ["ok", "ok"]
    assert found["loss_full"][0] != found["loss_full"][1]


def test_num_16_question_removed_when_the_picture_comes_later(folder, pictures):
    scorer = AnswerLoss(model=folder, contexts=("full", "no_question"), view=PoolView(image_root=pictures))
    found = scorer(llava_rows(("red8x6.png", "Hello", "Hi.", "<image>\nColour?", "Red.")))
    assert found["loss_status"] == ["ok"]
    assert found["tokens_full"] == found["tokens_no_question"] == [6]
    assert found["loss_full"] != found["loss_no_question"]


def test_txt_15_to_17_rows_beyond_the_window_leave_the_others_alone(folder):
    rows = [
        chat("blue " * 3000, "Red."),
        chat("word", "word " * 300),
        chat((picture(), picture("blue"), picture("green"), "Colours?"), "Red."),
        chat("Say hi.", "Hi."),
    ]
    for micro_batch in (None, 4):
        found = AnswerLoss(model=folder, max_length=40, micro_batch=micro_batch).score(rows)
        assert found["loss_status"] == ["no_supervised_tokens", "truncated", "too_long", "ok"]
        assert all("the window is 40" in reason for reason in found["loss_reason"][:3])
        for i in range(3):
            assert_no_numbers(found, i)
        assert found["loss_full"][3] == pytest.approx(
            AnswerLoss(model=folder).score(rows[3:])["loss_full"][0], rel=1e-5
        )


def test_window_is_the_models_own_and_never_more(scorer):
    assert scorer.loaded.encoder.max_length == 1024
    assert AnswerLoss(model=scorer.model, max_length=4096).loaded.encoder.max_length == 1024
    assert scorer.score([chat("word " * 900, "Red.")])["loss_status"] == ["no_supervised_tokens"]


def test_num_27_and_cac_05_training_mode_changes_nothing_and_is_restored(live):
    model, processor = live
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.5
    model.config.text_config.attention_dropout = 0.5
    for layer in model.model.language_model.layers:
        layer.self_attn.attention_dropout = 0.5
    rows = mixed_rows()
    model.train()
    model.model.vision_tower.eval()
    trained = AnswerLoss.of(model, processor, contexts=CONTEXTS)
    first, second = trained.score(rows), trained.score(rows)
    assert first == second
    assert model.training and model.model.language_model.training and not model.model.vision_tower.training
    model.eval()
    evaluated = AnswerLoss.of(model, processor, contexts=CONTEXTS)
    assert evaluated.identity() == trained.identity()
    assert evaluated.score(rows) == first
    assert not model.training


def test_model_in_memory_gives_the_same_numbers_and_knows_its_weights(live, scorer):
    model, processor = live
    held = AnswerLoss.of(model, processor, contexts=CONTEXTS)
    assert held.score(mixed_rows()) == scorer.score(mixed_rows())
    with torch.no_grad():
        model.lm_head.weight[0, 0] += 1
    assert AnswerLoss.of(model, processor, contexts=CONTEXTS).identity() != held.identity()


def test_model_in_memory_is_refused_elsewhere(live):
    held = AnswerLoss.of(*live)
    code = (
        "import pickle, sys\nfrom hf_select.errors import UsageError\n"
        "try: pickle.load(sys.stdin.buffer).loaded\nexcept UsageError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], input=pickle.dumps(held), capture_output=True, check=True)
    assert b"save model and processor" in done.stdout


class FullMemory:
    """Makes the model's forward fail like a full GPU when a batch has more than `tokens` padded tokens."""

    def __init__(self, model, tokens, monkeypatch):
        self.shapes = []
        forward = type(model).forward

        def limited(this, *args, **kwargs):
            self.shapes.append(tuple(kwargs["input_ids"].shape))
            if kwargs["input_ids"].numel() > tokens:
                raise torch.OutOfMemoryError("CUDA out of memory (injected)")
            return forward(this, *args, **kwargs)

        limited.__signature__ = inspect.signature(forward)
        monkeypatch.setattr(type(model), "forward", limited)


def many(n):
    return [chat((picture(size=(40 + i, 40)), "Colour " * (i % 5)), "Red " * (1 + i % 7)) for i in range(n)]


def test_out_of_memory_halves_the_batch_and_loses_nothing(folder, live, monkeypatch, caplog):
    rows = many(11)
    expected = AnswerLoss(model=folder, contexts=CONTEXTS).score(rows)
    held = AnswerLoss.of(*live, contexts=CONTEXTS, micro_batch=8)
    full = FullMemory(live[0], 120, monkeypatch)
    found = held.score(rows)
    assert found["loss_status"] == ["ok"] * 11
    for name, values in numbers(found).items():
        assert values == pytest.approx(expected[name], rel=1e-5)
    assert [n for n, _ in full.shapes[:3]] == [8, 4, 2]
    assert max(n * length for n, length in full.shapes[2:]) <= 120
    assert "out of memory with 8 rows" in caplog.text
    full.shapes.clear()
    assert held.score(many(9))["loss_status"] == ["ok"] * 9
    assert max(n * length for n, length in full.shapes) <= 120


def test_out_of_memory_with_one_row_is_that_rows_status(live, monkeypatch):
    FullMemory(live[0], 70, monkeypatch)
    rows = [chat("Say hi.", "Hi."), chat("word " * 40, "Hi."), chat("And?", "Yes.")]
    for micro_batch in (1, 4):
        found = AnswerLoss.of(*live, micro_batch=micro_batch).score(rows)
        assert found["loss_status"] == ["ok", "out_of_memory", "ok"]
        assert "doesn't fit in memory: CUDA out of memory" in found["loss_reason"][1]
        assert_no_numbers(found, 1)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_non_finite_loss_is_a_status(live, value):
    model, processor = live
    token = processor.tokenizer("Hi.", add_special_tokens=False)["input_ids"][0]
    with torch.no_grad():
        model.lm_head.weight[token] = value
    rows = [chat("Say", "Hi."), chat("what", "Red.")]
    found = AnswerLoss.of(model, processor).score(rows)
    assert found["loss_status"] == ["non_finite"] * 2
    assert_no_numbers(found, 0)


def test_rows_with_a_status_keep_it_and_are_never_looked_at(scorer):
    bad = hs.Row(status="invalid", reason="no conversation")
    assert scorer.score([bad])["loss_status"] == ["invalid"]
    assert scorer.score([bad])["loss_reason"] == ["no conversation"]
    assert scorer.score([]) == {name: [] for name in scorer.adds}


def test_token_budget_bounds_the_padded_batch(live, monkeypatch):
    sizes = []
    forward = type(live[0]).forward

    def watched(this, *args, **kwargs):
        sizes.append(kwargs["input_ids"].numel())
        return forward(this, *args, **kwargs)

    monkeypatch.setattr(type(live[0]), "forward", watched)
    AnswerLoss.of(*live, micro_batch=16, token_budget=200).score(many(9))
    assert max(sizes) <= 200 and len(sizes) < 9


def test_bfloat16_is_close_and_part_of_the_identity(folder):
    exact, rough = AnswerLoss(model=folder), AnswerLoss(model=folder, dtype="bfloat16")
    assert exact.identity() != rough.identity()
    assert rough.loaded.model.dtype == torch.bfloat16
    rows = mixed_rows()
    for a, b in zip(exact.score(rows)["loss_full"], rough.score(rows)["loss_full"], strict=True):
        assert b == pytest.approx(a, rel=0.05)


def test_runtime_options_are_outside_the_identity(folder):
    assert AnswerLoss(model=folder, micro_batch=3, token_budget=9, device="cpu").identity() == (
        AnswerLoss(model=folder).identity()
    )


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"contexts": ()}, "give one or more"),
        ({"contexts": ("full", "full")}, "each once"),
        ({"contexts": ("ful",)}, "Did you mean 'full'"),
        ({"max_length": 0}, "max_length=0"),
        ({"micro_batch": -1}, "micro_batch=-1"),
    ],
)
def test_wrong_configuration_is_one_sentence(folder, wrong, message):
    with pytest.raises(UsageError, match=message):
        AnswerLoss(model=folder, **wrong)


def test_unknown_model_folder_is_one_sentence(tmp_path):
    with pytest.raises(HFSelectError):
        AnswerLoss(model=str(tmp_path / "nothing")).identity()


@pytest.mark.parametrize("kind", [ValueError, ZeroDivisionError, IndexError])
def test_picture_that_the_processor_refuses_costs_its_own_row(scorer, monkeypatch, kind):
    rows = [chat((picture(), "Colour?"), "Red."), chat("Say hi.", "Hi.")]
    image_processor = scorer.loaded.encoder.processor.image_processor._inner

    def refuse(*args, **kwargs):
        raise kind("absolute aspect ratio must be smaller than 200")

    monkeypatch.setattr(image_processor, "preprocess", refuse)
    rows[0] = chat((RowImage.of(Image.new("RGB", (500, 1))), "Colour?"), "Red.")
    found = scorer.score(rows)
    assert found["loss_status"] == ["image_unreadable", "ok"]
    assert "aspect ratio" in found["loss_reason"][0]


def test_four_routes_give_the_same_numbers(folder, pictures, tmp_path):
    scorer = AnswerLoss(model=folder, contexts=("full", "no_question"), view=PoolView(image_root=pictures))
    rows = [
        ("red8x6.png", "<image>\nColour?", "Red."),
        (None, "Say hi.", "Hi."),
        ("truncated.jpg", "<image>\nColour?", "Red."),
        ("blue8x6.png", "<image>\nColour?", "Blue.", "And again?", "Blue."),
    ]
    pool = Dataset.from_dict(llava_rows(*rows))
    plain = pool.map(scorer, batched=True, batch_size=3)
    routes = [
        pool.map(scorer, batched=True, batch_size=2, num_proc=2),
        list(pool.to_iterable_dataset().map(scorer, batched=True, batch_size=1)),
        hs.score(pool, scorer, cache_dir=tmp_path, shards=2),
    ]
    for route in routes:
        for name in scorer.adds:
            assert [row[name] for row in route] == plain[name][:]
    assert plain["loss_status"][:] == ["ok", "ok", "image_unreadable", "ok"]
