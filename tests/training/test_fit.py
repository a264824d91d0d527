import json
import subprocess
import sys
from pathlib import Path

import pytest
import tiny
import torch
import transformers
from datasets import Dataset
from huggingface_hub import ModelCard
from peft import PeftModel
from safetensors.torch import load_file

from hf_select.errors import HFSelectError, UsageError
from hf_select.pool.view import PoolView
from hf_select.scoring.encode import ChatEncoder
from hf_select.scoring.model import load_vlm
from hf_select.training.callbacks import FiniteLoss
from hf_select.training.fit import FitConfig, fit

ONE_STEP = {"max_steps": 1, "warmup": 0.0, "batch_size": 8}


def weights(folder):
    return load_file(Path(folder) / "model.safetensors")


def changed(before, after):
    """The first two steps of the names of tensors that changed."""
    assert before.keys() == after.keys()
    return {".".join(name.split(".")[:2]) for name in before if not torch.equal(before[name], after[name])}


@pytest.fixture(scope="module")
def full(llava, pool, tmp_path_factory):
    """A full fine-tune that overfits the pool; shared by the tests that only look at it."""
    out = tmp_path_factory.mktemp("runs") / "full"
    config = FitConfig(max_steps=20, lr=1e-2, batch_size=3, accumulation=2)
    return fit(str(llava), pool, out, config=config, device="cpu")


def test_all_weights_but_the_vision_towers_learn_and_the_loss_falls(llava, full):
    assert (full.steps, full.rows, full.skipped, full.resumed_from) == (20, 8, {}, None)
    assert full.loss < 0.5
    moved = changed(weights(llava), weights(full.path))
    assert any("language_model" in name for name in moved)
    assert not any("vision" in name for name in moved)
    assert any("projector" in name for name in moved)


def test_the_result_is_a_plain_checkpoint_with_all_that_generation_needs(llava, full):
    files = {file.name for file in full.path.iterdir()}
    assert {"model.safetensors", "config.json", "generation_config.json", "processor_config.json"} <= files
    assert {"tokenizer.json", "chat_template.jinja", "README.md", "fit.json"} <= files
    assert not {"checkpoints", "training_args.bin", "optimizer.pt"} & files
    before, after = (json.loads((folder / "config.json").read_text()) for folder in (llava, full.path))
    assert before.get("use_cache") == after.get("use_cache")
    assert before["dtype"] == after["dtype"]


def test_the_tuned_model_gives_the_answers_it_was_shown(pool, full):
    model, processor = load_vlm(str(full.path), device="cpu")
    encoder = ChatEncoder(processor)
    for row in PoolView().rows(pool.with_format("arrow")[3:5]):
        inputs = encoder.collate([encoder.encode(row)])
        labels = inputs.pop("labels")[0]
        start = int((labels != -100).nonzero()[0])
        prompt = {k: v[:, :start] if k in ("input_ids", "attention_mask") else v for k, v in inputs.items()}
        tokens = model.generate(**prompt, max_new_tokens=8, do_sample=False)[0, start:]
        assert tokens.tolist() == labels[start:].tolist()


def test_a_finished_folder_answers_at_once_without_torch(llava, rows, pool, full):
    code = (
        "import json, sys\n"
        "from datasets import Dataset\n"
        "from hf_select.training.fit import FitConfig, fit\n"
        f"pool = Dataset.from_list(json.loads({json.dumps(json.dumps(rows))}))\n"
        "config = FitConfig(max_steps=20, lr=1e-2, batch_size=3, accumulation=2, save_every=3)\n"
        f"result = fit({str(llava)!r}, pool, {str(full.path)!r}, config=config)\n"
        "assert not {'torch', 'transformers', 'peft'} & set(sys.modules)\n"
        "print(result.loss)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) == full.loss
    again = fit(str(llava), pool, full.path, config=FitConfig(max_steps=20, lr=1e-2, batch_size=3, accumulation=2))
    assert again == full


def test_another_fine_tune_never_goes_into_the_same_folder(llava, pool, full):
    with pytest.raises(
        UsageError, match=r"holds another fine-tune \(config\.accumulation is 2 there and 1 now; config"
    ):
        fit(str(llava), pool, full.path)
    with pytest.raises(UsageError, match="pool is"):
        config = FitConfig(max_steps=20, lr=1e-2, batch_size=3, accumulation=2)
        fit(str(llava), pool.select(range(4)), full.path, config=config)


def test_num_25_loss_and_weights_do_not_depend_on_accumulation(llava, pool, tmp_path):
    """NUM-25: a total batch of 8 in 1, 2 and 8 forward passes."""
    done = {}
    for accumulation in (1, 2, 8):
        config = FitConfig(**ONE_STEP | {"batch_size": 8 // accumulation}, accumulation=accumulation, lr=1e-3)
        result = fit(str(llava), pool, tmp_path / str(accumulation), config=config, device="cpu")
        done[accumulation] = (result, weights(result.path))
    first, start = done[1], weights(llava)
    for result, after in (done[2], done[8]):
        assert result.loss == pytest.approx(first[0].loss, rel=1e-4)
        for name, tensor in after.items():
            assert torch.allclose(tensor, first[1][name], rtol=1e-4, atol=1e-4 * start[name].abs().max().item())


def test_the_loss_is_that_of_the_model_on_the_tokens_of_scoring(llava, pool, tmp_path):
    """An independent computation: transformers' own mean loss of each row, weighted by its supervised tokens."""
    model, processor = load_vlm(str(llava), dtype="float32", device="cpu")
    encoder = ChatEncoder(processor)
    encoded = [encoder.encode(row) for row in PoolView().rows(pool.with_format("arrow")[:])]
    with torch.inference_mode():
        sums = [model(**encoder.collate([one])).loss.item() * one.n_supervised for one in encoded]
    result = fit(str(llava), pool, tmp_path / "out", config=FitConfig(**ONE_STEP), device="cpu")
    assert result.loss == pytest.approx(sum(sums) / sum(one.n_supervised for one in encoded), rel=1e-5)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(llava, pool, tmp_path):
    config = {"max_steps": 3, "lr": 1e-3, "batch_size": 4, "lora_rank": 2, "lora_dropout": 0.1}
    a, b, c = (
        weights(fit(str(llava), pool, tmp_path / name, config=FitConfig(**config, seed=seed), device="cpu").path)
        for name, seed in (("a", 5), ("b", 5), ("c", 6))
    )
    assert changed(a, b) == set()
    assert changed(a, c)


def test_projector_only(llava, pool, tmp_path):
    result = fit(str(llava), pool, tmp_path / "out", config=FitConfig(**ONE_STEP, train="projector"), device="cpu")
    moved = changed(weights(llava), weights(result.path))
    assert moved
    assert all("projector" in name for name in moved)


def test_the_vision_tower_learns_when_it_is_not_frozen(llava, pool, tmp_path):
    result = fit(str(llava), pool, tmp_path / "out", config=FitConfig(**ONE_STEP, freeze_vision=False), device="cpu")
    assert any("vision" in name for name in changed(weights(llava), weights(result.path)))


def test_projector_lr_is_used_for_the_projector(llava, pool, tmp_path):
    config = FitConfig(**ONE_STEP, lr=1e-3, projector_lr=1e-6)
    result = fit(str(llava), pool, tmp_path / "out", config=config, device="cpu")
    before, after = weights(llava), weights(result.path)
    steps = {name: (after[name] - before[name]).abs().max().item() for name in before}
    assert max(step for name, step in steps.items() if "projector" in name) == pytest.approx(1e-6, rel=0.1)
    assert max(step for name, step in steps.items() if "lm_head" in name) == pytest.approx(1e-3, rel=0.1)


def test_lora_lowers_the_loss_and_merges_into_a_plain_checkpoint(llava, pool, tmp_path):
    config = FitConfig(max_steps=15, lora_rank=8, lora_dropout=0.0, lr=2e-2, batch_size=8)
    result = fit(str(llava), pool, tmp_path / "out", config=config, device="cpu")
    assert result.loss < 3
    before, after = weights(llava), weights(result.path)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert before.keys() == after.keys()
    assert {name for name in before if "_proj." in name and "vision" not in name} <= moved
    assert any("multi_modal_projector" in name for name in moved)
    assert not any(part in name for name in moved for part in ("vision", "embed_tokens", "lm_head", "norm"))
    assert not (result.path / "adapter_config.json").exists()


def test_a_kept_adapter_is_the_merged_model(llava, pool, tmp_path):
    settings = {"max_steps": 4, "lora_rank": 4, "lr": 1e-2, "batch_size": 8}
    merged = fit(str(llava), pool, tmp_path / "merged", config=FitConfig(**settings), device="cpu")
    kept = fit(str(llava), pool, tmp_path / "kept", config=FitConfig(**settings, keep_adapter=True), device="cpu")
    assert not (kept.path / "model.safetensors").exists()
    base, _ = load_vlm(str(llava), device="cpu")
    with_adapter = PeftModel.from_pretrained(base, kept.path).merge_and_unload().state_dict()
    plain = load_vlm(str(merged.path), device="cpu")[0].state_dict()
    assert all(torch.allclose(with_adapter[name], plain[name], atol=1e-6) for name in plain)
    card = ModelCard.load(kept.path / "README.md")
    assert card.data.library_name == "peft"


def test_unusable_rows_are_skipped_counted_and_named(llava, rows, broken, tmp_path, caplog):
    long = dict(rows[4], conversations=[{"from": "human", "value": "hi"}, {"from": "gpt", "value": "Red " * 90}])
    pool = Dataset.from_list([*rows, *broken, long])
    config = FitConfig(**ONE_STEP, max_length=60)
    result = fit(str(llava), pool, tmp_path / "out", config=config, device="cpu")
    assert result.rows == 8
    assert sum(result.skipped.values()) == 3
    assert result.skipped["image_missing"] == 1
    assert result.skipped["truncated"] == 1
    assert "1 of 11 rows skipped (image_missing), such as: row " in caplog.text
    alone = fit(str(llava), Dataset.from_list(rows), tmp_path / "alone", config=config, device="cpu")
    assert result.loss == pytest.approx(alone.loss, rel=1e-5)


def test_a_pool_without_a_usable_row_is_one_sentence(llava, broken, tmp_path):
    with pytest.raises(HFSelectError, match=r"no row can be trained on \(1 image_missing, 1 "):
        fit(str(llava), Dataset.from_list(broken), tmp_path / "out", device="cpu")


def test_wrong_arguments_are_one_sentence(llava, pool, tmp_path, monkeypatch):
    with pytest.raises(UsageError, match="needs a datasets.Dataset and was given a IterableDataset"):
        fit(str(llava), pool.to_iterable_dataset(), tmp_path / "a")
    with pytest.raises(UsageError, match="can't run on device 'cuda:1'"):
        fit(str(llava), pool, tmp_path / "b", device="cuda:1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="one process on one device"):
        fit(str(llava), pool, tmp_path / "c", device="cpu")


def test_a_loss_that_is_no_number_stops_the_run(llava, pool, tmp_path):
    with pytest.raises(HFSelectError, match=r"no finite number any more at step \d+: lower lr \(now 1e\+30\)"):
        fit(str(llava), pool, tmp_path / "out", config=FitConfig(max_steps=9, lr=1e30), device="cpu")


def test_weights_that_are_no_numbers_after_the_last_logged_loss_are_not_saved(llava, pool, tmp_path, monkeypatch):
    monkeypatch.setattr(FiniteLoss, "on_log", lambda *_, **__: None)
    with pytest.raises(HFSelectError, match=r"weights \S+ hold values .*lower lr \(now 1e\+30\)"):
        fit(str(llava), pool, tmp_path / "out", config=FitConfig(max_steps=3, lr=1e30), device="cpu")
    assert not (tmp_path / "out" / "model.safetensors").exists()


def test_the_card_names_pool_and_model_and_counts_rows(llava, rows, broken, tmp_path):
    config = FitConfig(**ONE_STEP, lr=3e-5)
    result = fit(
        str(llava),
        Dataset.from_list([*rows, broken[0]]),
        tmp_path / "out",
        config=config,
        device="cpu",
        pool_name="org/vit_*pool*",
        pool_revision="a1b2c3d",
        license="apache-2.0",
    )
    text = (result.path / "README.md").read_text()
    card = ModelCard(text, ignore_metadata_errors=False)
    assert card.data.license == "apache-2.0"
    assert card.data.tags == ["hf_select"]
    assert card.data.datasets is None
    assert card.data.base_model is None
    assert str(llava.parent) not in text
    assert "| used | 8 |" in text
    assert "| skipped: `image_missing` | 1 |" in text
    assert "at revision `a1b2c3d`" in text
    assert "| `lr` | 3e-05 |" in text
    assert f"{result.loss:.4f} nats" in text
    assert f"transformers {transformers.__version__}" in text
    assert "\\*pool\\*" in text.splitlines()[card.content.splitlines().index("---", 1) + 2]


def test_hub_ids_become_metadata_of_the_card(tmp_path):
    from hf_select.training.card import write_card
    from hf_select.training.record import FitRecord
    from hf_select.training.run import Names

    result = {"rows": 8, "steps": 2, "skipped": {}, "loss": 0.25, "seconds": 1.0, "resumed_from": 1}
    about = {"model": "org/vlm", "pool": "org/vit", "parameters": 10, "learning": 5, "device": "cpu"}
    about |= {"precision": "float32", "versions": {"torch": "2"}}
    record = FitRecord({"model": {"hub": "org/vlm", "commit": "c0ffee"}}, result, about)
    write_card(tmp_path, record, FitConfig(), Names("org/vlm", None, "org/vit", None, None))
    card = ModelCard.load(tmp_path / "README.md")
    assert (card.data.base_model, card.data.datasets, card.data.license) == ("org/vlm", ["org/vit"], None)
    assert "at commit `c0ffee`" in card.text
    assert "in more than one start" in card.text


@pytest.mark.parametrize("lora_rank", [0, 2])
def test_bfloat16_keeps_learning_weights_in_float32(llava, pool, tmp_path, lora_rank):
    config = FitConfig(
        max_steps=8, lr=1e-2, batch_size=8, dtype="bfloat16", lora_rank=lora_rank, gradient_checkpointing=True
    )
    result = fit(str(llava), pool, tmp_path / "out", config=config, device="cpu")
    assert result.loss < 6.5
    assert {tensor.dtype for tensor in weights(result.path).values()} == {torch.float32}


@pytest.mark.parametrize(("family", "rank"), [("llava_next", 0), ("idefics3", 2), ("gemma3", 2)])
def test_other_families_learn(family, rank, pool, tmp_path):
    model = getattr(tiny, family)(tmp_path / "model")
    first = fit(str(model), pool, tmp_path / "first", config=FitConfig(**ONE_STEP), device="cpu")
    config = FitConfig(max_steps=6, lr=1e-2, batch_size=4, accumulation=2, warmup=0.0, lora_rank=rank)
    last = fit(str(model), pool, tmp_path / "last", config=config, device="cpu")
    assert last.loss < first.loss
    moved = changed(weights(model), weights(last.path))
    assert moved
    assert not any("vision" in name for name in moved)
    load_vlm(str(last.path), device="cpu")
