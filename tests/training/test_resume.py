"""A run killed with SIGKILL goes on from its last checkpoint and ends where an unbroken run ends."""

import json
import signal
import subprocess
import sys

import pytest
import torch
from datasets import Dataset
from safetensors.torch import load_file
from transformers import TrainerCallback

from hf_select.training import callbacks
from hf_select.training.callbacks import COMPLETE, last_checkpoint
from hf_select.training.fit import FitConfig, fit

SETTINGS = {"max_steps": 9, "lr": 1e-3, "batch_size": 2, "accumulation": 2, "save_every": 3}

RUN = """
import json, os, signal, sys
from datasets import Dataset
from hf_select.training import callbacks
from hf_select.training.fit import FitConfig, fit

model, out, rows, settings, stop = sys.argv[1:]
made = callbacks.callbacks

def more(*args):
    from transformers import TrainerCallback

    class Kill(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            if state.global_step == int(stop):
                os.kill(os.getpid(), signal.SIGKILL)

    return [*made(*args), Kill()]

callbacks.callbacks = more
fit(model, Dataset.from_list(json.loads(rows)), out, config=FitConfig(**json.loads(settings)), device="cpu")
"""


def same_end(resumed, unbroken):
    assert (resumed.steps, resumed.resumed_from) == (9, 3)
    assert (unbroken.steps, unbroken.resumed_from) == (9, None)
    assert resumed.loss == pytest.approx(unbroken.loss, rel=1e-5)
    one, other = (load_file(result.path / "model.safetensors") for result in (resumed, unbroken))
    assert all(torch.allclose(one[name], other[name], rtol=1e-6, atol=1e-7) for name in other)
    assert not (resumed.path / "checkpoints").exists()


@pytest.mark.slow
def test_sigkill_costs_the_steps_since_the_last_checkpoint_and_changes_nothing(llava, rows, tmp_path):
    # 8 rows, 4 a step: an epoch has 2 steps; step 5 is inside the third, so rows are skipped on the way back.
    settings = SETTINGS | {"lora_rank": 2, "lora_dropout": 0.2}
    out = tmp_path / "killed"
    command = [sys.executable, "-c", RUN, str(llava), str(out), json.dumps(rows), json.dumps(settings), "5"]
    killed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr[-2000:]
    assert not (out / "model.safetensors").exists()
    assert last_checkpoint(out / "checkpoints").step == 3
    pool, config = Dataset.from_list(rows), FitConfig(**settings)
    resumed = fit(str(llava), pool, out, config=config, device="cpu")
    same_end(resumed, fit(str(llava), pool, tmp_path / "unbroken", config=config, device="cpu"))


def test_a_full_fine_tune_goes_on_after_an_interrupt(llava, pool, tmp_path, monkeypatch):
    """transformers' own checkpoints of LLaVA restore no tensor on resume."""
    config, made = FitConfig(**SETTINGS), callbacks.callbacks

    class Stop(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            if state.global_step == 5:
                raise KeyboardInterrupt

    monkeypatch.setattr(callbacks, "callbacks", lambda *args: [*made(*args), Stop()])
    with pytest.raises(KeyboardInterrupt):
        fit(str(llava), pool, tmp_path / "stopped", config=config, device="cpu")
    monkeypatch.undo()
    resumed = fit(str(llava), pool, tmp_path / "stopped", config=config, device="cpu")
    same_end(resumed, fit(str(llava), pool, tmp_path / "unbroken", config=config, device="cpu"))


def test_only_complete_checkpoints_are_resumed_from(tmp_path):
    assert last_checkpoint(tmp_path / "absent") is None
    for step in (4, 20, 100):
        (tmp_path / f"checkpoint-{step}").mkdir()
        (tmp_path / f"checkpoint-{step}" / "trainer_state.json").write_text("{}")
    assert last_checkpoint(tmp_path) is None
    for step in (4, 20):
        (tmp_path / f"checkpoint-{step}" / COMPLETE).write_text(json.dumps({"step": step, "seconds": 1.5}))
    assert last_checkpoint(tmp_path).folder.name == "checkpoint-20"
