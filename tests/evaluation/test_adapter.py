"""The adapter on tiny models of four families; lmms-eval's own code is not imported but for its base class."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import tiny
from PIL import Image

from hf_select.errors import HFSelectError, UnknownName, UsageError
from hf_select.evaluation import adapter, requests
from hf_select.evaluation.requests import Decoding
from hf_select.scoring.model import load_vlm

pytest.importorskip("lmms_eval")

QUESTIONS = [
    "How many circles are there?",
    "What colour is the square? Answer briefly.",
    "Is the statement true or false? Describe the picture in one sentence. One, two, three, four, five.",
    "Name the colour.",
    "two",
]
PIXELS = np.random.default_rng(0).integers(0, 256, (5, 40, 60, 3), dtype=np.uint8)
DOCUMENTS = [{"question": text, "image": Image.fromarray(p)} for text, p in zip(QUESTIONS, PIXELS, strict=True)]
TASKS = {"drawn": {"test": DOCUMENTS}, "plain": {"test": [{"question": text, "image": None} for text in QUESTIONS]}}
SHORT = {"max_new_tokens": 6, "until": ["\n\n"], "image_aspect_ratio": "original"}


def to_messages(doc):
    image = [] if doc["image"] is None else [{"type": "image", "url": doc["image"]}]
    return [{"role": "user", "content": [*image, {"type": "text", "text": doc["question"]}]}]


def to_visual(doc):
    return [] if doc["image"] is None else [doc["image"]]


def chat(task, number, **kwargs):
    return SimpleNamespace(args=("", to_messages, SHORT | kwargs, number, task, "test"))


def simple(task, number, **kwargs):
    return SimpleNamespace(args=(QUESTIONS[number], SHORT | kwargs, to_visual, number, task, "test"))


def mixed(make):
    """Two tasks, with and without pictures, in turn, and one question that asks for other settings."""
    return [make(task, number) for number in range(5) for task in TASKS] + [make("drawn", 0, max_new_tokens=2)]


@pytest.fixture(scope="module", params=tiny.FAMILIES)
def vlm(request, tmp_path_factory):
    seed = 4 if request.param == "gemma3" else 0  # others of Gemma's random weights say nothing but special tokens
    folder = tiny.FAMILIES[request.param](tmp_path_factory.mktemp(request.param), seed=seed)
    return load_vlm(str(folder), dtype="float32", device="cpu")


@pytest.fixture(scope="module")
def llava(tmp_path_factory):
    return tiny.llava(tmp_path_factory.mktemp("llava"))


def model(vlm, name="HFSelectChat", **kwargs):
    made = getattr(adapter, name).of(*vlm, **kwargs)
    made.task_dict = TASKS
    return made


def test_batch_1_3_and_4_give_the_same_text_chat_and_simple(vlm):
    alone = model(vlm, batch_size=1).generate_until(mixed(chat))
    assert len(set(alone)) > 1
    for size in (3, 4):
        assert model(vlm, batch_size=size).generate_until(mixed(chat)) == alone
    assert model(vlm, "HFSelectSimple", batch_size=3).generate_until(mixed(simple)) == alone


def test_likelihood_agrees_with_answer_loss(vlm):
    from hf_select.scoring.answer_loss import AnswerLoss

    asked = [
        SimpleNamespace(args=(QUESTIONS[number], f" {answer}", to_visual, number, task, "test"))
        for task in TASKS
        for number, answer in ((0, "Two."), (1, "Red."), (1, "Blue. Green."))
    ]
    results = model(vlm, "HFSelectSimple").loglikelihood(asked)
    rows = [
        requests.row_of_text(to_visual(TASKS[r.args[4]]["test"][r.args[3]]), r.args[0], "", 0, r.args[1].strip())
        for r in asked
    ]
    scored = AnswerLoss.of(*vlm).score(rows)
    wanted = [a / b for a, b in zip(scored["loss_full"], scored["tokens_full"], strict=True)]
    assert [result.text[0] for result in results] == pytest.approx(wanted, rel=1e-5)
    assert all(isinstance(result.text[1], bool) for result in results)


def test_whether_an_answer_is_greedy_is_told(llava, monkeypatch):
    from hf_select.scoring import losses

    made = model(load_vlm(str(llava), dtype="float32", device="cpu"), "HFSelectSimple")
    asked = [SimpleNamespace(args=(QUESTIONS[0], "Red.", to_visual, 0, "drawn", "test"))]
    assert made.loglikelihood(asked)[0].text[1] is False
    real = losses.answer_logits

    def sure(vlm, batch):
        logits, targets = real(vlm, batch)
        return logits.scatter(-1, targets.clamp(min=0)[..., None], 1e4), targets

    monkeypatch.setattr(losses, "answer_logits", sure)
    assert made.loglikelihood(asked)[0].text == (0.0, True)


def test_from_a_folder_as_the_command_line_makes_it(llava):
    made = adapter.HFSelectChat.create_from_arg_string(
        f"pretrained={llava},dtype=float32,max_new_tokens=3",
        {"batch_size": "4", "max_batch_size": None, "device": "cpu"},
    )
    made.task_dict = TASKS
    assert (made.batch_size, made.is_simple, made.rank, made.world_size) == (4, False, 0, 1)
    asked = SimpleNamespace(args=("", to_messages, {}, 0, "drawn", "test"))
    assert len(made.processor.tokenizer(made.generate_until([asked])[0])["input_ids"]) <= 5
    made.clean()
    assert made.vlm is None


def test_a_peft_adapter_is_merged(llava, tmp_path):
    import torch
    from peft import LoraConfig, get_peft_model

    base, _ = load_vlm(str(llava), dtype="float32", device="cpu")
    torch.manual_seed(0)
    config = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False, lora_alpha=64)
    get_peft_model(base, config).save_pretrained(tmp_path)
    plain = adapter.HFSelectChat(str(llava), device="cpu")
    tuned = adapter.HFSelectChat(str(llava), adapter=str(tmp_path), device="cpu")
    plain.task_dict = tuned.task_dict = TASKS
    assert plain.generate_until(mixed(chat)) != tuned.generate_until(mixed(chat))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"max_pixel": 3}, "unknown argument of the model hf_select 'max_pixel'"),
        ({"batch_size": "auto"}, "batch_size=auto"),
        ({"max_new_tokens": 0}, "max_new_tokens=0"),
        ({"pretrained": "/nowhere"}, "can't be loaded"),
    ],
)
def test_what_it_cannot_use_is_refused(llava, arguments, sentence):
    with pytest.raises(UsageError, match=sentence):
        adapter.HFSelectChat(**{"pretrained": str(llava), "device": "cpu"} | arguments)
    assert issubclass(UnknownName, UsageError)


def test_errors_propagate(llava, monkeypatch):
    vlm = load_vlm(str(llava), dtype="float32", device="cpu")
    monkeypatch.setattr(vlm[0], "generate", lambda **inputs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        model(vlm).generate_until([chat("drawn", 0)])


def test_a_document_that_cannot_be_read_is_named(llava):
    class Broken(list):
        def __getitem__(self, number):
            raise OSError("image file is truncated")

    made = model(load_vlm(str(llava), dtype="float32", device="cpu"))
    made.task_dict = {"drawn": {"test": Broken()}}
    with pytest.raises(HFSelectError, match=r"document 3 of drawn can't be read \(image file is truncated\)"):
        made.generate_until([chat("drawn", 3)])


def test_a_video_is_refused(llava):
    made = model(load_vlm(str(llava), dtype="float32", device="cpu"))
    video = [{"role": "user", "content": [{"type": "video", "url": "a.mp4"}]}]
    asked = SimpleNamespace(args=("", lambda doc: video, {}, 0, "drawn", "test"))
    with pytest.raises(UsageError, match="drawn shows a video"):
        made.generate_until([asked])
    with pytest.raises(UsageError, match="several rounds"):
        made.generate_until_multi_round([asked])


def test_kept_answers_are_not_asked_again(llava, monkeypatch):
    class Kept(dict):
        def find(self, asked):
            return self.get((asked.task, asked.row.key, asked.decoding))

        def keep(self, asked, answers):
            self.update({(a.task, a.row.key, a.decoding): text for a, text in zip(asked, answers, strict=True)})

    vlm, kept = load_vlm(str(llava), dtype="float32", device="cpu"), Kept()
    whole = model(vlm, batch_size=3, journal=kept).generate_until(mixed(chat))
    assert len(kept) == len(mixed(chat))
    for key in list(kept)[::2]:
        del kept[key]
    assert model(vlm, batch_size=2, journal=kept).generate_until(mixed(chat)) == whole
    monkeypatch.setattr(vlm[0], "generate", None)
    assert model(vlm, journal=kept).generate_until(mixed(chat)) == whole


def test_decoding_is_what_the_task_asks():
    def of(**asked):
        return Decoding.of(asked, default=128, most=1000)

    assert of() == Decoding(128)
    assert of(temperature=0.2, do_sample=False, top_p=0.9) == Decoding(128)
    assert of(do_sample=True, temperature=0) == Decoding(128)
    assert of(max_new_tokens=16384).max_new_tokens == 1000
    drawn = of(do_sample=True, temperature=0.7, top_p=0.9, until="ASSISTANT:")
    assert drawn.options == {"do_sample": True, "num_beams": 1, "temperature": 0.7, "top_p": 0.9}
    assert drawn.cut(" a ASSISTANT: b") == "a"
    assert Decoding(8, ("\n\n", "x")).cut("one\n\ntwo") == "one"


def test_each_process_has_its_own_gpu(monkeypatch):
    import torch

    assert adapter.own_device(None) is None
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert adapter.own_device("cpu") == "cpu"
    assert adapter.own_device(None) is None
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert adapter.own_device(None) == adapter.own_device("cuda") == "cuda:1"


def test_lmms_eval_finds_the_model_by_its_entry_point():
    from importlib.metadata import entry_points

    from lmms_eval.models.registry_v2 import ModelRegistryV2

    assert [point.value for point in entry_points(group="lmms_eval.models", name="hf_select")] == [
        "hf_select.evaluation.adapter:manifest"
    ]
    registry = ModelRegistryV2()
    registry.load_entrypoint_manifests()
    assert registry.get_model_class("hf_select") is adapter.HFSelectChat
    assert registry.get_model_class("hf_select", force_simple=True) is adapter.HFSelectSimple
