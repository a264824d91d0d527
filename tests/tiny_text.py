"""The text half of tiny checkpoints: chat templates that look like the families' own, and tokenizers trained here."""

from __future__ import annotations

WORDS = (
    "The quick brown fox jumps over the lazy dog. What colour is the square? Red. Blue. Green. Yellow. Answer briefly.",
    "How many circles are there? One, two, three, four, five, six, seven, eight, nine, ten. 0 1 2 3 4 5 6 7 8 9",
    "Describe the picture in one sentence. A chart shows the sales of a shop; the total is 12.50 euros on 2024-05-01.",
    "USER: Hello ASSISTANT: Hi. Name the colour. Say hi. Give a synonym of quick. Fast. And of slow? Sluggish. Colour?",
    "It writes the role before the text and the end after it, then goes on. Is the statement true or false? True False",
)

VICUNA = (
    "{% for m in messages %}{% if m.role == 'system' %}{% for c in m.content %}{{ c.text }}{% endfor %} "
    "{% elif m.role == 'user' %}USER: {% for c in m.content %}{% if c.type == 'image' %}<image>\n{% else %}{{ c.text }}"
    "{% endif %}{% endfor %} {% else %}ASSISTANT: "
    "[[{% for c in m.content %}{{ c.text }}{% endfor %}</s>]]{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[INST] {% for c in m.content %}"
    "{% if c.type == 'image' %}<image>\n{% else %}{{ c.text }}{% endif %}{% endfor %} [/INST]"
    "{% elif m.role == 'system' %}{% for c in m.content %}{{ c.text }}{% endfor %}\n"
    "{% else %} [[{% for c in m.content %}{{ c.text }}{% endfor %}</s>]]{% endif %}{% endfor %}"
)
IDEFICS = (
    "<|begin_of_text|>{% for m in messages %}{{ m.role | capitalize }}"
    "{% if m.content and m.content[0].type == 'image' %}:{% else %}: {% endif %}"
    "{% if m.role == 'assistant' %}[[{% for c in m.content %}{{ c.text }}{% endfor %}<end_of_utterance>\n]]{% else %}"
    "{% for c in m.content %}{% if c.type == 'image' %}<image>{% else %}{{ c.text }}{% endif %}{% endfor %}"
    "<end_of_utterance>\n{% endif %}{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"
)
GEMMA = (
    "{{ bos_token }}{% set skip = 1 if messages[0].role == 'system' else 0 %}{% for m in messages[skip:] %}"
    "{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n"
    "{% if skip and loop.first %}{{ messages[0].content[0].text }}\n\n{% endif %}"
    "{% if m.role == 'assistant' %}[[{% for c in m.content %}{{ c.text | trim }}{% endfor %}<end_of_turn>\n]]"
    "{% else %}{% for c in m.content %}{% if c.type == 'image' %}<start_of_image>{% else %}{{ c.text | trim }}"
    "{% endif %}{% endfor %}<end_of_turn>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
CHATML = (
    "{% for m in messages %}{% if loop.first and m.role != 'system' %}<|im_start|>system\n"
    "You are a helpful assistant.<|im_end|>\n{% endif %}<|im_start|>{{ m.role }}\n"
    "{% if m.role == 'assistant' %}[[{% for c in m.content %}{{ c.text }}{% endfor %}<|im_end|>]]\n{% else %}"
    "{% for c in m.content %}{% if c.type == 'image' %}IMAGE{% else %}{{ c.text }}{% endif %}{% endfor %}<|im_end|>\n"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def template(text: str, marks: bool) -> str:
    """Replace the brackets around the assistant's part by generation marks, or by nothing."""
    start, end = ("{% generation %}", "{% endgeneration %}") if marks else ("", "")
    return text.replace("[[", start).replace("]]", end)


def tokenizer(named: dict[str, str], others: tuple[str, ...] = (), *, spaces: bool = False, **kwargs):
    """A BPE tokenizer of a few hundred tokens; `spaces=True` is Llama's kind (U+2581 for a blank, leading BOS)."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    special = [*dict.fromkeys([*named.values(), *others])]
    if spaces:
        bpe = Tokenizer(models.BPE(unk_token=named.get("unk_token"), byte_fallback=True))
        bpe.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        bpe.decoder = decoders.Sequence(
            [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
        )
        alphabet = []
        special += [f"<0x{byte:02X}>" for byte in range(256)]
    else:
        bpe = Tokenizer(models.BPE())
        bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        bpe.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=len(special) + 512, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    source = [sentence.replace(" ", "▁") for sentence in WORDS] if spaces else WORDS
    bpe.train_from_iterator([word for text in source for word in _pieces(text)], trainer)
    if spaces:
        bpe = _without_byte_specials(bpe, [AddedToken(t, special=True, normalized=False) for t in special[:-256]])
        bos = named["bos_token"]
        bpe.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, bpe.token_to_id(bos))]
        )
    core = {"bos_token", "eos_token", "pad_token", "unk_token"}
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        extra_special_tokens={name: token for name, token in named.items() if name not in core},
        model_max_length=2048,
        **{name: token for name, token in named.items() if name in core},
        **kwargs,
    )


def _pieces(text: str) -> list[str]:
    return text.replace("▁", " ▁").split(" ") if "▁" in text else [text]


def _without_byte_specials(bpe, special):
    """Rebuild the tokenizer so that byte tokens are ordinary entries, as in Llama's, and not special ones."""
    import json

    from tokenizers import Tokenizer

    state = json.loads(bpe.to_str())
    state["added_tokens"] = []
    rebuilt = Tokenizer.from_str(json.dumps(state))
    rebuilt.add_special_tokens(special)
    return rebuilt


LLAMA = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "image_token": "<image>"}
