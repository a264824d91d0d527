"""Tiny random checkpoints of real transformers classes, built where a test needs one: no network, under 1 MB each.

Every function saves a model, its processor and a tokenizer trained on a few sentences into a folder and returns it.
`marks=True` gives a chat template with generation marks, the default has none; both look like the family's own.
"""

from __future__ import annotations

from pathlib import Path

from tiny_text import CHATML, GEMMA, IDEFICS, LLAMA, MISTRAL, VICUNA, template, tokenizer


def save(folder: Path, model, processor) -> Path:
    """Save both, in evaluation mode and float32, as `from_pretrained` expects them."""
    folder = Path(folder)
    model.eval()
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def text_config(tok, width: int = 64, **kwargs) -> dict:
    """A two-layer Llama-like text tower."""
    return {
        "model_type": "llama",
        "vocab_size": len(tok),
        "hidden_size": width,
        "intermediate_size": 2 * width,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 1024,
        "pad_token_id": tok.pad_token_id,
        "bos_token_id": tok.bos_token_id,
        "eos_token_id": tok.eos_token_id,
        "initializer_range": 0.2,
        **kwargs,
    }


def _clip(side: int) -> dict:
    return {
        "model_type": "clip_vision_model",
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": side,
        "patch_size": 14,
        "projection_dim": 32,
        "initializer_range": 1.0,
    }


def _siglip(side: int, patch: int) -> dict:
    return {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": side,
        "patch_size": patch,
        "initializer_range": 0.2,
    }


def llava(folder: Path, *, marks: bool = False, seed: int = 0, chat_template: str | None = None, **text) -> Path:
    """LLaVA-1.5's shape: CLIP (56 px, 16 image tokens), Llama, Vicuna's prompt with `</s>` after each answer."""
    import torch
    from transformers import CLIPImageProcessor, LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor

    torch.manual_seed(seed)
    tok = tokenizer(LLAMA, spaces=True)
    model = LlavaForConditionalGeneration(
        LlavaConfig(
            vision_config=_clip(56),
            text_config=text_config(tok, **text),
            image_token_id=tok.convert_tokens_to_ids("<image>"),
            image_seq_length=16,
        )
    )
    model.generation_config.eos_token_id = tok.eos_token_id
    processor = LlavaProcessor(
        image_processor=CLIPImageProcessor(size={"shortest_edge": 56}, crop_size={"height": 56, "width": 56}),
        tokenizer=tok,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=chat_template or template(VICUNA, marks),
    )
    return save(folder, model, processor)


def llava_next(folder: Path, *, marks: bool = False, seed: int = 0, **text) -> Path:
    """LLaVA-NeXT's shape: a base view and up to two tiles, Mistral's prompt with `<s>` written by the template."""
    import torch
    from transformers import (
        LlavaNextConfig,
        LlavaNextForConditionalGeneration,
        LlavaNextImageProcessor,
        LlavaNextProcessor,
    )

    torch.manual_seed(seed)
    tok = tokenizer(LLAMA, spaces=True, padding_side="left")
    grid = [[28, 56], [56, 28]]
    model = LlavaNextForConditionalGeneration(
        LlavaNextConfig(
            vision_config=_clip(28),
            text_config=text_config(tok, **text),
            image_token_index=tok.convert_tokens_to_ids("<image>"),
            image_grid_pinpoints=grid,
            image_seq_length=4,
        )
    )
    processor = LlavaNextProcessor(
        image_processor=LlavaNextImageProcessor(
            size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28}, image_grid_pinpoints=grid
        ),
        tokenizer=tok,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=template(MISTRAL, marks),
    )
    return save(folder, model, processor)


def idefics3(folder: Path, *, marks: bool = False, seed: int = 0, **text) -> Path:
    """Idefics3's shape: tiles with row and column marks, `<end_of_utterance>` after every turn."""
    import torch
    from transformers import (
        Idefics3Config,
        Idefics3ForConditionalGeneration,
        Idefics3ImageProcessor,
        Idefics3Processor,
    )

    torch.manual_seed(seed)
    tok = _idefics_tokenizer()
    model = Idefics3ForConditionalGeneration(
        Idefics3Config(
            vision_config=_siglip(28, 14),
            text_config=text_config(tok, **text),
            image_token_id=tok.convert_tokens_to_ids("<image>"),
            scale_factor=2,
            pad_token_id=tok.pad_token_id,
        )
    )
    processor = Idefics3Processor(
        image_processor=Idefics3ImageProcessor(size={"longest_edge": 56}, max_image_size={"longest_edge": 28}),
        tokenizer=tok,
        image_seq_len=1,
        chat_template=template(IDEFICS, marks),
    )
    return save(folder, model, processor)


def gemma3(folder: Path, *, marks: bool = False, seed: int = 0, **text) -> Path:
    """Gemma 3's shape: pictures seen in both directions, a sliding window, a template that trims and folds system."""
    import torch
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration, Gemma3ImageProcessor, Gemma3Processor

    torch.manual_seed(seed)
    named = {
        "bos_token": "<bos>",
        "eos_token": "<eos>",
        "pad_token": "<pad>",
        "image_token": "<image_soft_token>",
        "boi_token": "<start_of_image>",
        "eoi_token": "<end_of_image>",
    }
    tok = tokenizer(named, ("<start_of_turn>", "<end_of_turn>"), padding_side="left")
    config = text_config(tok, head_dim=16, sliding_window=32, **text)
    config |= {"model_type": "gemma3_text", "layer_types": ["sliding_attention", "full_attention"]}
    model = Gemma3ForConditionalGeneration(
        Gemma3Config(
            vision_config=_siglip(28, 7) | {"model_type": "siglip_vision_model"},
            text_config=config,
            mm_tokens_per_image=4,
            boi_token_index=tok.convert_tokens_to_ids("<start_of_image>"),
            eoi_token_index=tok.convert_tokens_to_ids("<end_of_image>"),
            image_token_index=tok.convert_tokens_to_ids("<image_soft_token>"),
        )
    )
    # Made of zeros by transformers: pictures would change nothing, and no test would notice a swapped one.
    torch.nn.init.normal_(model.model.multi_modal_projector.mm_input_projection_weight)
    processor = Gemma3Processor(
        image_processor=Gemma3ImageProcessor(size={"height": 28, "width": 28}),
        tokenizer=tok,
        image_seq_length=4,
        chat_template=template(GEMMA, marks),
    )
    return save(folder, model, processor)


def qwen2_5_vl(folder: Path, *, marks: bool = False, seed: int = 0, **text) -> Path:
    """Qwen2.5-VL's shape: any resolution, three-part rotary positions, ChatML. Needs torchvision (see its shim)."""
    import torch
    from transformers import (
        Qwen2_5_VLConfig,
        Qwen2_5_VLForConditionalGeneration,
        Qwen2_5_VLProcessor,
        Qwen2VLImageProcessor,
        Qwen2VLVideoProcessor,
    )

    torch.manual_seed(seed)
    named = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
    vision = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
    tok = tokenizer(named, ("<|im_start|>", *vision))
    ids = tok.convert_tokens_to_ids
    config = text_config(tok, **text)
    config |= {"model_type": "qwen2_5_vl_text", "rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3]}}
    model = Qwen2_5_VLForConditionalGeneration(
        Qwen2_5_VLConfig(
            vision_config={
                "depth": 2,
                "hidden_size": 32,
                "intermediate_size": 64,
                "num_heads": 2,
                "out_hidden_size": config["hidden_size"],
                "fullatt_block_indexes": [1],
                "window_size": 56,
                "initializer_range": 0.2,
            },
            text_config=config,
            image_token_id=ids("<|image_pad|>"),
            video_token_id=ids("<|video_pad|>"),
            vision_start_token_id=ids("<|vision_start|>"),
            vision_end_token_id=ids("<|vision_end|>"),
        )
    )
    pixels = {"min_pixels": 28 * 28, "max_pixels": 28 * 28 * 16}
    processor = Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(**pixels),
        tokenizer=tok,
        video_processor=Qwen2VLVideoProcessor(**pixels),
        chat_template=template(CHATML, marks).replace("IMAGE", "<|vision_start|><|image_pad|><|vision_end|>"),
    )
    return save(folder, model, processor)


def smolvlm(folder: Path, *, marks: bool = False, seed: int = 0, **text) -> Path:
    """SmolVLM's shape: Idefics3 with a video processor. Needs torchvision (see its shim) and num2words."""
    import torch
    from transformers import (
        SmolVLMConfig,
        SmolVLMForConditionalGeneration,
        SmolVLMImageProcessor,
        SmolVLMProcessor,
        SmolVLMVideoProcessor,
    )

    torch.manual_seed(seed)
    tok = _idefics_tokenizer(
        fake_image_token="<fake_token_around_image>",
        image_token="<image>",
        end_of_utterance_token="<end_of_utterance>",
        global_image_token="<global-img>",
    )
    model = SmolVLMForConditionalGeneration(
        SmolVLMConfig(
            vision_config=_siglip(28, 14),
            text_config=text_config(tok, **text),
            image_token_id=tok.convert_tokens_to_ids("<image>"),
            scale_factor=2,
            pad_token_id=tok.pad_token_id,
        )
    )
    sizes = {"size": {"longest_edge": 56}, "max_image_size": {"longest_edge": 28}}
    processor = SmolVLMProcessor(
        image_processor=SmolVLMImageProcessor(**sizes),
        tokenizer=tok,
        video_processor=SmolVLMVideoProcessor(**sizes),
        image_seq_len=1,
        chat_template=template(IDEFICS, marks),
    )
    return save(folder, model, processor)


def internvl(folder: Path, *, marks: bool = False, seed: int = 0, **text) -> Path:
    """InternVL's shape: tiles around `<IMG_CONTEXT>`, ChatML, left padding. Needs torchvision (see its shim)."""
    import torch
    from transformers import (
        GotOcr2ImageProcessor,
        InternVLConfig,
        InternVLForConditionalGeneration,
        InternVLProcessor,
        InternVLVideoProcessor,
    )

    torch.manual_seed(seed)
    named = {
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "start_image_token": "<img>",
        "end_image_token": "</img>",
        "context_image_token": "<IMG_CONTEXT>",
        "video_token": "<video>",
    }
    tok = tokenizer(named, ("<|im_start|>",), padding_side="left")
    model = InternVLForConditionalGeneration(
        InternVLConfig(
            vision_config=_siglip(28, 7) | {"image_size": [28, 28], "patch_size": [7, 7]},
            text_config=text_config(tok, **text) | {"model_type": "qwen2"},
            image_token_id=tok.convert_tokens_to_ids("<IMG_CONTEXT>"),
            image_seq_length=4,
        )
    )
    size = {"height": 28, "width": 28}
    processor = InternVLProcessor(
        image_processor=GotOcr2ImageProcessor(size=size, crop_to_patches=True, max_patches=4),
        tokenizer=tok,
        video_processor=InternVLVideoProcessor(size=size),
        image_seq_length=4,
        chat_template=template(CHATML, marks).replace("IMAGE", "<IMG_CONTEXT>\n"),
    )
    return save(folder, model, processor)


def _idefics_tokenizer(**extra):
    named = {"bos_token": "<|begin_of_text|>", "eos_token": "<end_of_utterance>", "pad_token": "<pad>", **extra}
    tiles = [f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)]
    return tokenizer(named, ("<fake_token_around_image>", "<image>", "<global-img>", *tiles))


FAMILIES = {"llava": llava, "llava_next": llava_next, "idefics3": idefics3, "gemma3": gemma3}
"""Families whose processors work without torchvision."""

TORCHVISION_FAMILIES = {"qwen2_5_vl": qwen2_5_vl, "smolvlm": smolvlm, "internvl": internvl}
"""Families whose processors import torchvision for their video part."""
