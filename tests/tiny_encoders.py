"""Tiny random encoders of pictures and texts: real transformers classes, saved with their processor or tokenizer."""

from __future__ import annotations

from pathlib import Path

_SIZES = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
_SEES = _SIZES | {"image_size": 56, "patch_size": 14, "initializer_range": 0.3}
_SHAPE = {"size": {"shortest_edge": 64}, "crop_size": {"height": 56, "width": 56}}


def _save(folder, model, processor) -> Path:
    model.eval()
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return Path(folder)


def dinov2(folder, *, seed: int = 0, **config) -> Path:
    """DINOv2's shape: 16 patches and a CLS token; the image processor resizes and crops."""
    import torch
    from transformers import BitImageProcessor, Dinov2Config, Dinov2Model

    torch.manual_seed(seed)
    return _save(folder, Dinov2Model(Dinov2Config(**_SEES | config)), BitImageProcessor(**_SHAPE))


def dinov2_registers(folder) -> Path:
    """DINOv2 with four register tokens between CLS and patches."""
    import torch
    from transformers import BitImageProcessor, Dinov2WithRegistersConfig, Dinov2WithRegistersModel

    torch.manual_seed(0)
    model = Dinov2WithRegistersModel(Dinov2WithRegistersConfig(**_SEES, num_register_tokens=4))
    return _save(folder, model, BitImageProcessor(**_SHAPE))


def vit(folder) -> Path:
    """ViT without a pooling layer, as classification checkpoints store it."""
    import torch
    from transformers import ViTConfig, ViTImageProcessor, ViTModel

    torch.manual_seed(0)
    model = ViTModel(ViTConfig(**_SEES), add_pooling_layer=False)
    return _save(folder, model, ViTImageProcessor(size={"height": 56, "width": 56}))


def vit_mae(folder) -> Path:
    """ViT-MAE, which drops three quarters of the patches at random."""
    import torch
    from transformers import ViTImageProcessor, ViTMAEConfig, ViTMAEModel

    torch.manual_seed(0)
    return _save(folder, ViTMAEModel(ViTMAEConfig(**_SEES)), ViTImageProcessor(size={"height": 56, "width": 56}))


def clip(folder, *, whole: bool = True) -> Path:
    """CLIP's two towers, or the vision tower of the same model alone."""
    import torch
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

    torch.manual_seed(0)
    text = _SIZES | {"vocab_size": 99, "bos_token_id": 0, "eos_token_id": 1}
    model = CLIPModel(CLIPConfig(vision_config=_SEES, text_config=text))
    return _save(folder, model if whole else model.vision_model, CLIPImageProcessor(**_SHAPE))


def siglip(folder) -> Path:
    """SigLIP's vision tower: patches only."""
    import torch
    from transformers import SiglipImageProcessor, SiglipVisionConfig, SiglipVisionModel

    torch.manual_seed(0)
    size = {"height": 56, "width": 56}
    return _save(folder, SiglipVisionModel(SiglipVisionConfig(**_SEES)), SiglipImageProcessor(size=size))


def swin(folder) -> Path:
    """Swin: neighbouring patches are merged twice, no CLS."""
    import torch
    from transformers import SwinConfig, SwinModel, ViTImageProcessor

    torch.manual_seed(0)
    config = SwinConfig(image_size=56, patch_size=7, embed_dim=16, depths=[1, 1], num_heads=[2, 2], window_size=4)
    return _save(folder, SwinModel(config), ViTImageProcessor(size={"height": 56, "width": 56}))


def bert(folder, *, cls: bool = True, positions: int = 32) -> Path:
    """A BERT encoder over bytes, with `[CLS] text [SEP]`, or without any special token."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    torch.manual_seed(0)
    special = ["[PAD]", "[CLS]", "[SEP]"]
    vocabulary = {token: at for at, token in enumerate([*special, *sorted(pre_tokenizers.ByteLevel.alphabet())])}
    tokens = Tokenizer(models.BPE(vocabulary, []))
    tokens.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    named = {"pad_token": "[PAD]"}
    if cls:
        tokens.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
        )
        named |= {"cls_token": "[CLS]", "sep_token": "[SEP]"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=tokens, **named)
    config = BertConfig(**_SIZES, vocab_size=len(vocabulary), max_position_embeddings=positions, initializer_range=0.3)
    return _save(folder, BertModel(config), tokenizer)
