"""Trains the model that the demo starts from: first its eyes on patch labels, then its language on lessons.

`build(out)` takes about nine minutes of one core and writes a LLaVA checkpoint (config, half-precision safetensors,
tokenizer, processor). Everything is drawn and ordered by `SEED`; float sums differ between machines, so a rebuild is
compared by its loss on held-out lessons (`held_out_loss`), not by bytes.
"""

from __future__ import annotations

import logging
import math
import time
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_select.demo.canvas import LAYERS, PATCH, SIDE
from hf_select.demo.lessons import Lesson, draw, lessons
from hf_select.demo.words import CHARACTERS, COLORS, PRINTED, SHAPES

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from tokenizers import Tokenizer
    from transformers import LlavaForConditionalGeneration, LlavaProcessor

logger = logging.getLogger(__name__)

SEED = 0
VISION_STEPS = 300
LANGUAGE_STEPS = 700
BATCH = 8
TURNS = 4
"""Questions about one picture in a conversation of the second phase."""

MEAN, STD = 0.85, 0.3
SPECIAL = ("<pad>", "<s>", "<|end|>", "<image>", "<|system|>", "<|user|>", "<|assistant|>")
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ '<|' + message['role'] + '|>' }}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% elif message['role'] == 'user' %}{{ part['text'] | trim }}"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}<|end|>"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def make_tokenizer() -> Tokenizer:
    """Train a byte-level BPE of at most 640 tokens on lessons; digits are single tokens."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    rng = Random(f"{SEED}:tokenizer")
    texts = (text for _ in range(3000) for turn in lessons(rng, draw(rng), 4) for text in turn)
    tokenizer = Tokenizer(models.BPE())
    digits = pre_tokenizers.Split(Regex(r"\d"), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=640, special_tokens=list(SPECIAL), initial_alphabet=alphabet)
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def make_processor(tokenizer: Tokenizer) -> LlavaProcessor:
    """Wrap the tokenizer and an image processor that keeps 112 x 112 pictures as they are."""
    from transformers import CLIPImageProcessorPil, LlavaProcessor, PreTrainedTokenizerFast

    names = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "<|end|>"}
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, extra_special_tokens={"image_token": "<image>"}, model_max_length=512, **names
    )
    images = CLIPImageProcessorPil(
        size={"height": SIDE, "width": SIDE}, do_center_crop=False, image_mean=[MEAN] * 3, image_std=[STD] * 3
    )
    return LlavaProcessor(
        image_processor=images,
        tokenizer=fast,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=TEMPLATE,
    )


def make_model(tokenizer: Tokenizer) -> LlavaForConditionalGeneration:
    """Return the untrained model: a three-layer CLIP tower, a two-layer projector, a four-layer Llama."""
    import torch
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

    torch.manual_seed(SEED)
    vision = CLIPVisionConfig(
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=3,
        num_attention_heads=4,
        image_size=SIDE,
        patch_size=PATCH,
        hidden_act="gelu",
    )
    language = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=160,
        intermediate_size=416,
        num_hidden_layers=4,
        num_attention_heads=5,
        num_key_value_heads=5,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.token_to_id("<pad>"),
        bos_token_id=tokenizer.token_to_id("<s>"),
        eos_token_id=tokenizer.token_to_id("<|end|>"),
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=language,
        image_token_id=tokenizer.token_to_id("<image>"),
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        image_seq_length=(SIDE // PATCH) ** 2,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.token_to_id("<pad>"),
        eos_token_id=tokenizer.token_to_id("<|end|>"),
    )
    model = LlavaForConditionalGeneration(config)
    for linear in (model.model.multi_modal_projector.linear_1, model.model.multi_modal_projector.linear_2):
        torch.nn.init.xavier_uniform_(linear.weight)  # the default is far too small for features of this width
    return model


def pixels(pictures: list[Any]) -> torch.Tensor:
    """Normalise PIL pictures of the right size as the processor does: float32 (n, 3, 112, 112)."""
    import torch

    array = np.stack([np.asarray(picture) for picture in pictures]).astype(np.float32)
    return torch.from_numpy((array / 255 - MEAN) / STD).permute(0, 3, 1, 2).contiguous()


class Muon:
    """Momentum made orthogonal for the layers' matrices (arXiv 2502.16982), AdamW for everything else.

    It needs about half the steps of AdamW alone here; torch's own works in bfloat16, which is slow on most CPUs.
    """

    def __init__(self, model: Any, rate: float, steps: int, extra: Sequence[Any] = ()) -> None:
        import torch

        named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        self._matrices = [p for name, p in named if p.dim() == 2 and ".layers." in name]
        taken = set(map(id, self._matrices))
        self._others = [p for _, p in named if id(p) not in taken] + list(extra)
        self._momentum = [torch.zeros_like(p) for p in self._matrices]
        self._adam = torch.optim.AdamW(self._others, lr=rate, weight_decay=0.02, betas=(0.9, 0.98))
        self._rate, self._steps, self._done = rate, steps, 0

    def step(self, loss: torch.Tensor) -> None:
        """Follow the gradient of `loss`: linear warm-up of 20 steps, then half a cosine down to 3 %."""
        import torch

        loss.backward()
        torch.nn.utils.clip_grad_norm_([*self._matrices, *self._others], 1.0)
        progress = self._done / self._steps
        rate = self._rate * min(1.0, (self._done + 1) / 20) * (0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * progress)))
        for group in self._adam.param_groups:
            group["lr"] = rate
        self._adam.step()
        self._adam.zero_grad()
        with torch.no_grad():
            for matrix, momentum in zip(self._matrices, self._momentum, strict=True):
                if matrix.grad is not None:
                    momentum.mul_(0.95).add_(matrix.grad)
                    size = 0.2 * math.sqrt(max(matrix.shape))
                    matrix.mul_(1 - 0.02 * rate).sub_(_orthogonal(matrix.grad + 0.95 * momentum), alpha=rate * size)
                    matrix.grad = None
        self._done += 1


def _orthogonal(matrix: torch.Tensor) -> torch.Tensor:
    """Return about the nearest matrix with all singular values 1, by five Newton-Schulz steps."""
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    x = wide / (wide.norm() + 1e-7)
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x if matrix.shape[0] <= matrix.shape[1] else x.T


class PatchReader:
    """Reads patch labels off the vision tower's patches, and off the projected patches as well.

    The first reading is a linear head that is thrown away. The second scores projected patches by the language model's
    own token embeddings, so a patch with "milk" already lies near the token "milk" when the language model first sees
    it. Only the second character and what names a patch ("key") are turned by matrices that are thrown away.
    """

    def __init__(self, model: LlavaForConditionalGeneration, tokenizer: Tokenizer) -> None:
        import torch

        width, size = model.config.vision_config.hidden_size, model.config.text_config.hidden_size
        names = {
            "shape": SHAPES,
            "color": tuple(COLORS),
            "left": tuple(CHARACTERS),
            "right": tuple(CHARACTERS),
            "word": PRINTED,
            "key": PRINTED,
        }
        self._head = torch.nn.Linear(width, sum(LAYERS.values()))
        self._table = model.get_input_embeddings().weight
        self._pick = {layer: _pick_matrix(tokenizer, words) for layer, words in names.items()}
        self._none = torch.nn.ParameterDict({layer: torch.zeros(size) for layer in LAYERS})
        self._turn = torch.nn.ModuleDict({layer: torch.nn.Linear(size, size, bias=False) for layer in ("right", "key")})

    def parameters(self) -> list[Any]:
        """What is trained and thrown away."""
        return [*self._head.parameters(), *self._none.parameters(), *self._turn.parameters()]

    def logits(self, hidden: torch.Tensor, projected: torch.Tensor) -> list[tuple[str, torch.Tensor]]:
        """Class scores as (layer, float32 (pictures, patches, classes)) of both readings."""
        import torch

        read = list(zip(LAYERS, self._head(hidden).split(list(LAYERS.values()), dim=-1), strict=True))
        for layer, pick in self._pick.items():
            classes = torch.cat([self._none[layer][None], pick @ self._table])
            turned = self._turn[layer](projected) if layer in self._turn else projected
            read.append((layer, turned @ classes.T))
        return read


def _pick_matrix(tokenizer: Tokenizer, words: Sequence[str]) -> torch.Tensor:
    """Return float32 (words, vocabulary) that sums the embeddings of a word with and without a blank before it."""
    import torch

    matrix = torch.zeros(len(words), tokenizer.get_vocab_size())
    for row, word in enumerate(words):
        for form in (word, " " + word):
            tokens = tokenizer.encode(form).ids
            for token in tokens:
                matrix[row, token] += 1 / len(tokens)
    return matrix


def train_vision(
    model: LlavaForConditionalGeneration, tokenizer: Tokenizer, steps: int = VISION_STEPS, rate: float = 3e-3
) -> None:
    """Teach vision tower and projector what stands in each patch (`LAYERS`)."""
    import torch
    from torch.nn.functional import cross_entropy

    torch.manual_seed(SEED)
    tower, projector = model.model.vision_tower, model.model.multi_modal_projector
    reader = PatchReader(model, tokenizer)
    model.model.language_model.layers.requires_grad_(False)
    optimizer = Muon(model, rate, steps, reader.parameters())
    rng = Random(f"{SEED}:vision")
    for step in range(steps):
        canvases = [draw(rng).canvas for _ in range(4 * BATCH)]
        hidden = tower(pixels([c.image for c in canvases])).last_hidden_state[:, 1:]
        loss, right = torch.zeros(()), {}
        for layer, logits in reader.logits(hidden, projector(hidden)):
            gold = torch.from_numpy(np.stack([c.labels[layer].reshape(-1) for c in canvases]))
            loss = loss + cross_entropy(logits.flatten(0, 1), gold.flatten())
            right[layer] = round((logits.argmax(-1) == gold)[gold > 0].float().mean().item(), 2)
        optimizer.step(loss)
        if step % 50 == 49:
            logger.info("vision %d: loss %.3f, right %s", step + 1, loss.item(), right)
    model.model.language_model.layers.requires_grad_(True)


def encode(tokenizer: Tokenizer, turns: list[Lesson], image_tokens: int) -> tuple[list[int], list[int]]:
    """Return token ids and labels (-100 outside answers and their end mark) of one conversation about one picture."""
    one = tokenizer.token_to_id
    ids, labels = [one("<s>")], [-100]
    for number, (question, answer) in enumerate(turns):
        asked = [one("<|user|>"), *([one("<image>")] * image_tokens if number == 0 else [])]
        asked += [*tokenizer.encode(question).ids, one("<|end|>"), one("<|assistant|>")]
        said = [*tokenizer.encode(answer).ids, one("<|end|>")]
        ids += asked + said
        labels += [-100] * len(asked) + said
    return ids, labels


def batch(model: Any, tokenizer: Tokenizer, rng: Random, size: int, most: int = 6) -> dict[str, torch.Tensor]:
    """Draw `size` conversations as model inputs, right padded."""
    import torch

    scenes = [draw(rng, most) for _ in range(size)]
    coded = [encode(tokenizer, lessons(rng, s, TURNS), model.config.image_seq_length) for s in scenes]
    length = max(len(ids) for ids, _ in coded)
    ids = torch.full((size, length), tokenizer.token_to_id("<pad>"))
    labels = torch.full((size, length), -100)
    mask = torch.zeros((size, length), dtype=torch.long)
    for row, (tokens, marks) in enumerate(coded):
        ids[row, : len(tokens)] = torch.tensor(tokens)
        labels[row, : len(marks)] = torch.tensor(marks)
        mask[row, : len(tokens)] = 1
    pictures = pixels([s.canvas.image for s in scenes])
    return {"input_ids": ids, "labels": labels, "attention_mask": mask, "pixel_values": pictures}


def train_language(model: Any, tokenizer: Tokenizer, steps: int = LANGUAGE_STEPS, rate: float = 3e-3) -> None:
    """Teach projector and language model the lessons; the vision tower stays as it is."""
    import torch

    torch.manual_seed(SEED)
    model.model.vision_tower.requires_grad_(False)
    optimizer = Muon(model, rate, steps)
    rng = Random(f"{SEED}:language")
    for step in range(steps):
        most = min(6, 1 + 12 * step // steps)  # pictures of one shape first: nothing else is as quick to ground
        loss = model(**batch(model, tokenizer, rng, BATCH, most)).loss
        optimizer.step(loss)
        if step % 50 == 49:
            logger.info("language %d: loss %.3f", step + 1, loss.item())
    model.model.vision_tower.requires_grad_(True)


def held_out_loss(model: Any, tokenizer: Tokenizer, conversations: int = 128) -> float:
    """Return the mean loss, in nats a token, on lessons that no training draws."""
    import torch

    rng = Random(f"{SEED}:held out")
    losses = []
    with torch.no_grad():
        for _ in range(conversations // BATCH):
            losses.append(model(**batch(model, tokenizer, rng, BATCH)).loss.item())
    return sum(losses) / len(losses)


def build(out: Path, vision_steps: int = VISION_STEPS, language_steps: int = LANGUAGE_STEPS) -> dict[str, float]:
    """Train the model and save it with its processor in `out`.

    Args:
        out: Folder of the checkpoint: half-precision safetensors and nothing executable.
        vision_steps: Steps of the first phase.
        language_steps: Steps of the second phase.

    Returns:
        Held-out loss in nats a token, and CPU seconds.
    """
    import torch

    started = time.process_time()
    tokenizer = make_tokenizer()
    model = make_model(tokenizer)
    train_vision(model, tokenizer, vision_steps)
    train_language(model, tokenizer, language_steps)
    model.eval()
    loss = held_out_loss(model, tokenizer)
    model.to(torch.float16).save_pretrained(out)
    make_processor(tokenizer).save_pretrained(out)
    return {"held_out_loss": loss, "cpu_seconds": time.process_time() - started}
