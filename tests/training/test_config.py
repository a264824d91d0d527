from dataclasses import fields

import pytest

from hf_select.errors import UnknownName, UsageError
from hf_select.training.config import FitConfig


def test_every_setting_explains_itself():
    assert [field.name for field in fields(FitConfig) if not field.metadata["help"]] == []


def test_runtime_settings_are_no_part_of_the_identity():
    plain = FitConfig()
    assert plain.identity() == FitConfig(save_every=7, dataloader_workers=2, gradient_checkpointing=True).identity()
    assert plain.identity() != FitConfig(seed=1).identity()


def test_lora_is_llavas_recipe():
    config = FitConfig.lora()
    assert (config.lora_rank, config.alpha, config.peak_lr, config.projector_lr) == (128, 256, 2e-4, 2e-5)
    assert FitConfig.lora(8, seed=3).seed == 3


@pytest.mark.parametrize(("changes", "lr"), [({}, 2e-5), ({"train": "projector"}, 1e-3), ({"lr": 0.5}, 0.5)])
def test_the_learning_rate_follows_what_is_trained(changes, lr):
    assert FitConfig(**changes).peak_lr == lr


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"train": "vision"}, "unknown train 'vision'; allowed: all, language, projector"),
        ({"dtype": "float16"}, "unknown dtype 'float16'; allowed: auto, bfloat16, float32"),
        ({"batch_size": 0}, "batch_size is 0; it must be at least 1"),
        ({"max_steps": 0}, "max_steps is 0; it must be at least 1"),
        ({"lora_rank": -1}, "lora_rank is -1; it must be at least 0"),
        ({"lr": 0.0}, "lr is 0.0; it must be a positive number"),
        ({"epochs": float("nan")}, "epochs is nan; it must be a positive number"),
        ({"warmup": 1.0}, "warmup is 1.0; it is a share"),
        ({"lora_rank": 8, "train": "projector"}, "set lora_rank to 0"),
        ({"lora_rank": 8, "freeze_vision": False}, "vision tower stays frozen"),
        ({"keep_adapter": True}, "keep_adapter needs an adapter"),
        ({"train": "language", "freeze_vision": False}, "freeze_vision=false needs train=all"),
    ],
)
def test_a_wrong_setting_is_one_sentence(changes, sentence):
    with pytest.raises(UsageError, match=sentence.replace("(", r"\(")) as caught:
        FitConfig(**changes)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, UnknownName) == sentence.startswith("unknown")
