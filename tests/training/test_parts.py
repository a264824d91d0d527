import pytest
import tiny
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText

from hf_select.errors import UsageError
from hf_select.training.config import FitConfig
from hf_select.training.parts import choose_parameters, parameter_groups, part_of_parameters


def members(model, part):
    return {name for name, found in part_of_parameters(model).items() if found == part}


@pytest.mark.parametrize(
    ("family", "projector"),
    [
        ("llava", {"multi_modal_projector"}),
        ("llava_next", {"multi_modal_projector", "image_newline"}),
        ("idefics3", {"connector"}),
        ("gemma3", {"multi_modal_projector"}),
    ],
)
def test_parts_of_a_family(family, projector, tmp_path):
    model = AutoModelForImageTextToText.from_pretrained(getattr(tiny, family)(tmp_path))
    assert {name.split(".")[1] for name in members(model, "projector")} == projector
    assert all("vision" in name for name in members(model, "vision"))
    language = {name.split(".")[1] for name in members(model, "language")}
    assert language <= {"language_model", "text_model", "weight"}
    assert len(part_of_parameters(model)) == len(list(model.named_parameters()))


def test_the_projector_of_qwen_lies_inside_its_vision_tower():
    config = AutoConfig.for_model(
        "qwen2_5_vl",
        vision_config={"depth": 1, "hidden_size": 16, "num_heads": 2, "intermediate_size": 16, "out_hidden_size": 16},
        text_config={
            "vocab_size": 32,
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
        },
    )
    model = AutoModelForImageTextToText.from_config(config)
    assert {".".join(name.split(".")[:3]) for name in members(model, "projector")} == {"model.visual.merger"}
    assert any(name.startswith("model.visual.blocks") for name in members(model, "vision"))
    learner = choose_parameters(model, FitConfig(lora_rank=2))
    full = [name for name, p in learner.named_parameters() if p.requires_grad and "lora_" not in name]
    assert full
    assert all(".merger.modules_to_save." in name for name in full)


def test_a_model_without_pictures_is_refused():
    config = AutoConfig.for_model(
        "llama", vocab_size=32, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2
    )
    with pytest.raises(UsageError, match="LlamaForCausalLM has no vision tower"):
        part_of_parameters(AutoModelForCausalLM.from_config(config))


def test_groups_follow_part_and_shape(llava):
    model = AutoModelForImageTextToText.from_pretrained(llava)
    parts = part_of_parameters(model)
    config = FitConfig(lr=1e-4, projector_lr=1e-5, weight_decay=0.1)
    groups = parameter_groups(choose_parameters(model, config), parts, config)
    assert {(g["lr"], g["weight_decay"]) for g in groups} == {(1e-4, 0.1), (1e-4, 0.0), (1e-5, 0.1), (1e-5, 0.0)}
    assert sum(len(g["params"]) for g in groups) == sum(p.requires_grad for p in model.parameters())
    adapted = choose_parameters(model, FitConfig(lora_rank=2, projector_lr=1e-5))
    by_lr = {g["lr"]: g["params"] for g in parameter_groups(adapted, parts, FitConfig(lora_rank=2, projector_lr=1e-5))}
    assert by_lr.keys() == {2e-4, 1e-5}


@pytest.mark.parametrize("rank", [0, 2])
def test_language_alone(llava, rank):
    model = AutoModelForImageTextToText.from_pretrained(llava)
    learner = choose_parameters(model, FitConfig(train="language", lora_rank=rank))
    learning = {name for name, parameter in learner.named_parameters() if parameter.requires_grad}
    assert learning
    assert not any("projector" in name or "vision" in name for name in learning)
