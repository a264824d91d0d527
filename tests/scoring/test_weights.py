import json

import numpy as np
import pytest

from hf_select.errors import HFSelectError, UsageError
from hf_select.scoring import weights
from hf_select.scoring.weights import commit_to_load, weights_identity


@pytest.fixture(autouse=True)
def hub_home(tmp_path, monkeypatch):
    import huggingface_hub.constants as constants

    home = tmp_path / "hub-home"
    monkeypatch.setattr(constants, "HF_HOME", str(home))
    return home


def checkpoint(folder, value=1.0):
    from safetensors.numpy import save_file

    folder.mkdir(exist_ok=True)
    tensor = np.zeros(64, dtype=np.float32)
    tensor[7] = value
    save_file({"weight": tensor}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"model_type": "toy"}))
    return folder


def test_cac_01_one_flipped_weight_changes_the_identity(tmp_path):
    folder = checkpoint(tmp_path / "model")
    header = (folder / "model.safetensors").read_bytes()[:80]
    before = weights_identity(str(folder))
    checkpoint(folder, value=1.5)
    assert (folder / "model.safetensors").read_bytes()[:80] == header
    assert weights_identity(str(folder)) != before
    checkpoint(folder)
    assert weights_identity(str(folder)) == before


@pytest.mark.parametrize("name", ["tokenizer.json", "preprocessor_config.json", "chat_template.jinja", "merges.txt"])
def test_tokenizer_processor_and_template_belong_to_it(tmp_path, name):
    folder = checkpoint(tmp_path / "model")
    before = weights_identity(str(folder))
    (folder / name).write_text("{}")
    assert weights_identity(str(folder)) != before


def test_a_readme_or_a_training_log_does_not(tmp_path):
    folder = checkpoint(tmp_path / "model")
    before = weights_identity(str(folder))
    (folder / "README.md").write_text("hello")
    (folder / "trainer_state.json").write_text("{}")
    assert weights_identity(str(folder)) == before


def test_the_same_checkpoint_elsewhere_is_the_same(tmp_path):
    assert weights_identity(str(checkpoint(tmp_path / "a"))) == weights_identity(str(checkpoint(tmp_path / "b")))


def test_a_digest_is_remembered_beside_the_cache_not_beside_the_weights(tmp_path, hub_home, monkeypatch):
    monkeypatch.setattr(weights, "_FRESH_NS", -(10**12))
    folder = checkpoint(tmp_path / "model")
    before = weights_identity(str(folder))
    assert sorted(p.name for p in folder.iterdir()) == ["config.json", "model.safetensors"]
    assert len(list((hub_home / "hf_select" / "digests").iterdir())) == 1

    def refuse(*_):
        raise AssertionError("the weights were read again")

    monkeypatch.setattr(weights.hashlib, "file_digest", refuse)
    assert weights_identity(str(folder)) == before


def test_a_file_written_a_moment_ago_is_not_remembered(tmp_path, hub_home):
    weights_identity(str(checkpoint(tmp_path / "model")))
    assert not (hub_home / "hf_select").exists()


def test_a_broken_memo_or_an_unwritable_cache_costs_time_only(tmp_path, hub_home, monkeypatch):
    monkeypatch.setattr(weights, "_FRESH_NS", -(10**12))
    folder = checkpoint(tmp_path / "model")
    before = weights_identity(str(folder))
    memo = next((hub_home / "hf_select" / "digests").iterdir())
    memo.write_text("{broken")
    assert weights_identity(str(folder)) == before

    def full(*_, **__):
        raise OSError("no space")

    monkeypatch.setattr(weights, "write_atomically", full)
    memo.unlink()
    assert weights_identity(str(folder)) == before


def test_an_adapter_folder_brings_its_base(tmp_path):
    base = checkpoint(tmp_path / "base")
    adapter = checkpoint(tmp_path / "adapter")
    (adapter / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(base)}))
    before = weights_identity(str(adapter))
    assert before["base"] == weights_identity(str(base))
    checkpoint(base, value=2.0)
    after = weights_identity(str(adapter))
    assert after["digest"] == before["digest"]
    assert after != before


def test_what_is_loaded_is_what_was_identified():
    assert commit_to_load({"hub": "org/model", "commit": "a" * 40}) == "a" * 40
    assert commit_to_load({"digest": "d"}) is None
    assert commit_to_load({"digest": "d", "base": {"digest": "e"}}) is None
    assert commit_to_load({"digest": "d", "base": {"hub": "org/base", "commit": "b" * 40}}) == "b" * 40


def test_cac_01_a_branch_that_moved_is_other_weights(hub):
    hub.repo("org/model", "models", files={"model.safetensors": b"old"}, gated=True)
    first = weights_identity("org/model")
    assert (
        first
        == weights_identity("org/model", "main")
        == {"hub": "org/model", "commit": hub.head("org/model", "models")}
    )
    assert type(first["commit"]) is str
    after = hub.push("org/model", {"model.safetensors": b"new"}, "models")
    assert weights_identity("org/model") == {"hub": "org/model", "commit": after}
    hub.log.clear()
    assert weights_identity("org/model", first["commit"]) == first
    assert hub.log == []


def test_a_hub_model_that_can_not_be_identified_is_one_sentence(hub, monkeypatch):
    hub.repo("me/model", "models", private=True)
    with pytest.raises(UsageError, match=r"^the model me/model has no revision 'v2'\.$"):
        weights_identity("me/model", "v2")
    hub.fail("GET", "/api/models/", kind="html", status=200)
    with pytest.raises(HFSelectError, match="^http://127.* doesn't answer as the Hub does"):
        weights_identity("me/model")
    hub.fail("GET", "/api/models/", status=429, retry_after=7)
    with pytest.raises(HFSelectError, match=r"\(HTTP 429\): it asks to wait"):
        weights_identity("me/model")
    hub.revoke(hub.me)
    with pytest.raises(HFSelectError, match=r"\(HTTP 401\): run `hf auth login`"):
        weights_identity("me/model")
    hub.sign_in(monkeypatch, None)
    with pytest.raises(UsageError, match=r"^there is no model me/model on the Hub that you may read.*log in"):
        weights_identity("me/model")


def test_offline_a_known_model_resolves_and_an_unknown_one_says_what_to_do(tmp_path, monkeypatch):
    import huggingface_hub
    import huggingface_hub.constants as constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    refs = tmp_path / "models--org--known" / "refs"
    refs.mkdir(parents=True)
    (refs / "main").write_text("b" * 40)
    assert weights_identity("org/known")["commit"] == "b" * 40
    assert weights_identity("org/unknown", "c" * 40)["commit"] == "c" * 40
    with pytest.raises(HFSelectError, match=r"can't be reached.*org/unknown.*local folder"):
        weights_identity("org/unknown")
    assert huggingface_hub.constants.HF_HUB_OFFLINE


@pytest.mark.parametrize(
    ("model", "revision", "says"),
    [
        ("./nowhere", None, "no model folder at ./nowhere"),
        ("a/b/c", None, "no model folder at a/b/c"),
        ("{folder}", "main", "only Hub models have revisions"),
        ("{empty}", None, "no \\*.safetensors"),
        ("what is this", None, "neither a local folder nor a Hub id"),
    ],
)
def test_wrong_names_get_one_sentence(tmp_path, model, revision, says):
    (tmp_path / "empty").mkdir()
    model = model.format(folder=checkpoint(tmp_path / "model"), empty=tmp_path / "empty")
    with pytest.raises(UsageError, match=says):
        weights_identity(model, revision)
