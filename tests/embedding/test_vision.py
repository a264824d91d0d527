"""Encoders of pictures: each family gives what transformers gives, pooled as promised, or one sentence."""

import numpy as np
import pytest
import tiny
import tiny_encoders
import torch
from dialogues import chat, picture

from hf_select.embedding.image import ImageEmbedding
from hf_select.embedding.pooling import extra_tokens, pooled_text
from hf_select.errors import UsageError

ROWS = [chat((picture(colour, size), "?"), "!") for colour, size in [("red", (80, 60)), ("blue", (30, 90))]]


def embed(folder, **config) -> np.ndarray:
    return np.array(ImageEmbedding(model=str(folder), **config).score(ROWS)["embedding"])


def plainly(folder, auto=None):
    """The hidden states of transformers' own model, one picture at a time, and its other outputs."""
    from transformers import AutoImageProcessor, AutoModel

    model = AutoModel.from_pretrained(folder) if auto is None else auto
    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    with torch.no_grad():
        return [
            model(
                processor(images=row.images[0].open(), return_tensors="pt")["pixel_values"], output_hidden_states=True
            )
            for row in ROWS
        ]


def unit(vectors) -> np.ndarray:
    vectors = np.stack([v.numpy().reshape(-1) for v in vectors])
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_dinov2_gives_the_cls_token_after_the_final_norm(dino):
    out = plainly(dino)
    assert np.allclose(embed(dino), unit([o.last_hidden_state[:, 0] for o in out]), atol=1e-6)
    assert np.allclose(embed(dino, pool="mean"), unit([o.last_hidden_state[:, 1:].mean(1) for o in out]), atol=1e-6)
    assert np.allclose(embed(dino, layer=-2), unit([o.hidden_states[-2][:, 0] for o in out]), atol=1e-6)
    raw = np.stack([o.last_hidden_state[0, 0].numpy() for o in out])
    assert np.allclose(embed(dino, normalize=False), raw, atol=1e-5)


def test_registers_are_no_places_of_the_picture(tmp_path):
    folder = tiny_encoders.dinov2_registers(tmp_path)
    out = plainly(folder)
    assert out[0].last_hidden_state.shape[1] == 1 + 4 + 16
    assert np.allclose(embed(folder, pool="mean"), unit([o.last_hidden_state[:, 5:].mean(1) for o in out]), atol=1e-6)
    assert np.allclose(embed(folder), unit([o.last_hidden_state[:, 0] for o in out]), atol=1e-6)


def test_clip_gets_the_final_norm_that_its_class_leaves_out(tmp_path):
    from transformers import CLIPVisionModel

    alone = tiny_encoders.clip(tmp_path / "alone", whole=False)
    whole = tiny_encoders.clip(tmp_path / "whole")
    model = CLIPVisionModel.from_pretrained(alone).eval()
    out = plainly(alone, model)
    assert np.allclose(embed(alone), unit([o.pooler_output for o in out]), atol=1e-6)
    means = unit([model.post_layernorm(o.last_hidden_state).detach()[:, 1:].mean(1) for o in out])
    assert np.allclose(embed(alone, pool="mean"), means, atol=1e-6)
    assert np.allclose(embed(alone, layer=-2), unit([o.hidden_states[-2][:, 0] for o in out]), atol=1e-6)
    for config in ({}, {"pool": "mean"}, {"layer": -2}):
        assert np.array_equal(embed(whole, **config), embed(alone, **config))


def test_a_shape_that_the_encoder_refuses_costs_its_rows_only(tmp_path):
    from transformers import CLIPImageProcessor

    folder = tiny_encoders.clip(tmp_path)
    CLIPImageProcessor(size={"shortest_edge": 56}, do_center_crop=False).save_pretrained(folder)
    out = ImageEmbedding(model=str(folder)).score([*ROWS, chat((picture("red", (70, 70)), "?"), "!")])
    assert out["embedding_status"] == ["image_unprocessable", "image_unprocessable", "ok"]
    assert out["embedding_reason"][0].startswith("the encoder refuses the shape 3 x 56 x 74 that the image processor")


def test_vit_and_swin(tmp_path):
    vit = tiny_encoders.vit(tmp_path / "vit")
    assert np.allclose(embed(vit), unit([o.last_hidden_state[:, 0] for o in plainly(vit)]), atol=1e-6)
    swin = tiny_encoders.swin(tmp_path / "swin")
    assert np.allclose(embed(swin, pool="mean"), unit([o.last_hidden_state.mean(1) for o in plainly(swin)]), atol=1e-6)


@pytest.mark.parametrize("family", ["siglip", "swin"])
def test_an_encoder_without_cls_says_so(tmp_path, family):
    folder = getattr(tiny_encoders, family)(tmp_path)
    with pytest.raises(UsageError, match=r'has no CLS token: use pool="mean"'):
        embed(folder)
    assert np.allclose(np.linalg.norm(embed(folder, pool="mean"), axis=1), 1)


@pytest.mark.parametrize("old_names", [False, True])
def test_of_a_vision_language_model_the_tower_alone_is_loaded(tmp_path, old_names):
    from transformers import AutoModelForImageTextToText

    folder = tiny.llava(tmp_path)
    tower = AutoModelForImageTextToText.from_pretrained(folder).model.vision_tower.eval()
    if old_names:
        rename(folder / "model.safetensors", "vision_tower.", "vision_tower.vision_model.")
    out = plainly(folder, tower)
    assert np.allclose(embed(folder), unit([o.pooler_output for o in out]), atol=1e-6)
    means = unit([o.hidden_states[-2][:, 1:].mean(1) for o in out])
    assert np.allclose(embed(folder, layer=-2, pool="mean"), means, atol=1e-6)
    assert sum(p.numel() for p in ImageEmbedding(model=str(folder)).loaded.encoder.module.parameters()) < 50_000


def rename(file, old: str, new: str) -> None:
    from safetensors.torch import load_file, save_file

    tensors = {k[k.find(old) :] if old in k else k: v for k, v in load_file(file).items()}
    tensors = {k.replace(old, new) if new not in k else k: v for k, v in tensors.items()}
    assert any(k.startswith(new) for k in tensors)
    save_file(tensors, file, {"format": "pt"})


@pytest.mark.parametrize("family", ["llava_next", "idefics3", "gemma3"])
def test_a_picture_cut_into_tiles_is_the_mean_of_its_tiles(tmp_path, family):
    folder = tiny.FAMILIES[family](tmp_path)
    vectors = embed(folder, pool="mean", normalize=False)
    encoder = ImageEmbedding(model=str(folder), pool="mean", normalize=False).loaded.encoder
    for row, vector in zip(ROWS, vectors, strict=True):
        views = encoder.process(row.images[0].open())
        with encoder.evaluating():
            assert np.allclose(np.mean([encoder.vectors(v[None])[0] for v in views], axis=0), vector, atol=1e-5)


def test_what_cannot_be_used_is_one_sentence(tmp_path, dino, bert):
    with pytest.raises(UsageError, match="gives 5 tokens for 16 patches"):
        embed(tiny_encoders.vit_mae(tmp_path / "mae"), pool="mean")
    with pytest.raises(UsageError, match="can't be loaded as an image encoder from safetensors"):
        embed(bert)
    with pytest.raises(UsageError, match=r"can't embed pictures from pixel values alone, layer -9"):
        embed(dino, layer=-9)
    from transformers import AutoImageProcessor, ViTConfig, ViTForImageClassification

    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "image_size": 56, "patch_size": 14}
    labels = ViTForImageClassification(ViTConfig(**sizes))
    with pytest.raises(UsageError, match="labels can't embed pictures from pixel values alone"):
        ImageEmbedding.of(labels, AutoImageProcessor.from_pretrained(dino, backend="pil"), identity="labels")
    with pytest.raises(UsageError, match="counted from the end"):
        ImageEmbedding(model=dino, layer=1)
    with pytest.raises(UsageError, match="unknown pool 'max'; allowed: cls, mean"):
        ImageEmbedding(model=dino, pool="max")


def test_missing_weights_are_never_random(tmp_path):
    from safetensors.torch import load_file, save_file

    folder = tiny_encoders.dinov2(tmp_path)
    tensors = load_file(folder / "model.safetensors")
    tensors.pop("layernorm.weight")
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(UsageError, match=r"no weights for 1 tensors of Dinov2Model \(layernorm.weight"):
        embed(folder)


def test_which_tokens_are_places():
    assert [extra_tokens(17, 16), extra_tokens(21, 16), extra_tokens(16, 16), extra_tokens(4, 16)] == [1, 5, 0, 0]
    assert extra_tokens(9, None) == 0
    for tokens in (5, 8, 117):
        with pytest.raises(UsageError, match=f"gives {tokens} tokens for 16 patches"):
            extra_tokens(tokens, 16)


def test_padding_is_no_part_of_a_text():
    tokens = torch.tensor([[[1.0], [3.0], [100.0]]])
    assert pooled_text(tokens, torch.tensor([[1, 1, 0]]), "mean").tolist() == [[2.0]]
    assert pooled_text(tokens, torch.tensor([[1, 1, 0]]), "cls").tolist() == [[1.0]]
