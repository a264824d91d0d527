import json
import os
import subprocess
import sys

import pytest
import tiny
import tiny_text
import torch
from dialogues import mixed_rows

from hf_select.errors import MissingExtra, UnknownName, UsageError
from hf_select.scoring import model as module
from hf_select.scoring.answer_loss import AnswerLoss
from hf_select.scoring.model import context_window, load_processor, load_vlm, resolve_dtype


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.llava(tmp_path_factory.mktemp("llava"))


@pytest.fixture
def copy(folder, tmp_path):
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


@pytest.fixture(scope="module")
def adapter(folder, tmp_path_factory):
    import peft

    model, processor = load_vlm(str(folder))
    config = peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    out = tmp_path_factory.mktemp("adapter")
    model.language_model = model.model.language_model
    peft.get_peft_model(model, config).save_pretrained(out)
    return out


def test_loads_for_evaluation_in_float32_on_this_machine(folder):
    model, processor = load_vlm(str(folder))
    assert not model.training and model.dtype == torch.float32 and model.device.type == "cpu"
    assert context_window(model, processor.tokenizer) == 1024
    assert load_vlm(str(folder), dtype="bfloat16")[0].dtype == torch.bfloat16


def test_window_is_the_tokenizers_where_that_is_less(folder):
    model, processor = load_vlm(str(folder))
    processor.tokenizer.model_max_length = 77
    assert context_window(model, processor.tokenizer) == 77
    processor.tokenizer.model_max_length = int(1e30)
    assert context_window(model, processor.tokenizer) == 1024


def test_without_a_chat_template_says_what_to_do(copy):
    (copy / "chat_template.jinja").unlink()
    with pytest.raises(UsageError, match="no chat template.*instruction-tuned"):
        load_processor(str(copy))


def test_only_safetensors_are_loaded(copy):
    torch.save({}, copy / "pytorch_model.bin")
    (copy / "model.safetensors").unlink()
    with pytest.raises(UsageError, match="safetensors") as caught:
        load_vlm(str(copy))
    assert "\n" not in str(caught.value)


def test_a_language_model_is_no_vision_language_model(tmp_path):
    from transformers import LlamaConfig, LlamaForCausalLM

    tok = tiny_text.tokenizer(tiny_text.LLAMA, spaces=True)
    LlamaForCausalLM(LlamaConfig(**tiny.text_config(tok))).save_pretrained(tmp_path)
    tok.save_pretrained(tmp_path)
    with pytest.raises(UsageError):
        load_vlm(str(tmp_path))


def test_missing_weights_are_refused_rather_than_drawn_at_random(copy):
    from safetensors.torch import load_file, save_file

    weights = load_file(copy / "model.safetensors")
    del weights[next(name for name in weights if "lm_head" in name)]
    save_file(weights, copy / "model.safetensors", {"format": "pt"})
    with pytest.raises(UsageError, match="no weights for 1 tensors.*lm_head"):
        load_vlm(str(copy))


def test_folder_that_is_not_there(tmp_path):
    with pytest.raises(UsageError):
        load_vlm(str(tmp_path / "none"))


def test_adapter_folder_stands_for_its_base_with_it(folder, adapter):
    base = AnswerLoss(model=str(folder))
    tuned, as_model = AnswerLoss(model=str(folder), adapter=str(adapter)), AnswerLoss(model=str(adapter))
    rows = mixed_rows()
    assert tuned.score(rows) == as_model.score(rows)
    assert tuned.score(rows)["loss_full"] != base.score(rows)["loss_full"]
    assert len({base.identity(), tuned.identity(), as_model.identity()}) == 3


def test_adapter_without_safetensors_is_refused(folder, adapter, tmp_path):
    (tmp_path / "adapter_config.json").write_bytes((adapter / "adapter_config.json").read_bytes())
    torch.save({}, tmp_path / "adapter_model.bin")
    with pytest.raises(UsageError, match="no adapter_model.safetensors"):
        load_vlm(str(folder), adapter=str(tmp_path))


def test_adapter_on_an_adapter_is_refused(adapter):
    with pytest.raises(UsageError, match="is an adapter itself"):
        load_vlm(str(adapter), adapter=str(adapter))


def test_code_of_a_checkpoint_never_runs_unasked(copy):
    config = json.loads((copy / "config.json").read_text())
    config["auto_map"] = {"AutoModelForImageTextToText": "evil.Evil", "AutoConfig": "evil.EvilConfig"}
    config["model_type"] = "evil"
    (copy / "config.json").write_text(json.dumps(config))
    (copy / "evil.py").write_text(f"open({str(copy / 'ran')!r}, 'w').write('x')")
    with pytest.raises(UsageError):
        load_vlm(str(copy))
    assert not (copy / "ran").exists()


def test_without_transformers_the_extra_is_named(monkeypatch, folder):
    def missing(package, extra):
        raise MissingExtra(package, extra)

    monkeypatch.setattr(module, "require", missing)
    with pytest.raises(MissingExtra, match=r"hf_select\[models\]"):
        load_vlm(str(folder))


@pytest.mark.parametrize(
    ("dtype", "device", "expected"),
    [
        ("auto", "cpu", "float32"),
        ("auto", "cuda", "bfloat16"),
        ("auto", "cuda:1", "bfloat16"),
        ("auto", "mps", "float32"),
        ("auto", None, "float32"),
        ("float32", "cuda", "float32"),
        ("bfloat16", "cpu", "bfloat16"),
    ],
)
def test_dtype(dtype, device, expected):
    assert resolve_dtype(dtype, device) == expected


def test_unknown_dtype():
    with pytest.raises(UnknownName, match="Did you mean 'bfloat16'"):
        resolve_dtype("bfloat")


def test_identity_costs_no_heavy_import(folder):
    code = (
        "import sys\nfrom hf_select.scoring.answer_loss import AnswerLoss\n"
        f"AnswerLoss(model={str(folder)!r}).identity()\n"
        "from hf_select.scoring.token_count import TokenCount\n"
        "print(sorted({'torch', 'transformers', 'peft', 'faiss'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout.strip() == "[]"


def test_bfloat16_on_a_cpu_that_emulates_it_is_warned_of(tmp_path, monkeypatch, caplog):
    folder = str(tiny.llava(tmp_path / "model"))
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    load_vlm(folder, dtype="float32", device="cpu")
    assert "emulates" not in caplog.text
    load_vlm(folder, dtype="bfloat16", device="cpu")
    assert "emulates" in caplog.text
