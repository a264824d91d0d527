"""Texts to vectors: the masked mean that sentence-transformers takes, and a word about every cut."""

import datasets
import numpy as np
import pytest
import tiny_encoders
import torch
import toys
from dialogues import chat, picture

import hf_select as hs
from hf_select.embedding.text import TextEmbedding
from hf_select.errors import UnknownName, UsageError
from hf_select.scoring.loaded import forget_loaded

NAME = "text_embedding"
ROWS = [
    chat("Hello", "Hi.", "And of slow?", "Sluggish."),
    chat((picture(), "Colour?"), "Red."),
    chat("Hello", "Hey."),
    chat(" \n", "Yes."),
]


def plainly(folder, text: str, pool: str = "mean") -> np.ndarray:
    from transformers import AutoModel, AutoTokenizer

    tokens = AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")
    with torch.no_grad():
        hidden = AutoModel.from_pretrained(folder)(**tokens).last_hidden_state[0]
    vector = (hidden.mean(0) if pool == "mean" else hidden[0]).numpy()
    return vector / np.linalg.norm(vector)


@pytest.mark.parametrize(
    ("kind", "texts"),
    [
        ("first_question", ["Hello", "Colour?", "Hello", None]),
        ("questions", ["Hello\nAnd of slow?", "Colour?", "Hello", None]),
        ("answers", ["Hi.\nSluggish.", "Red.", "Hey.", "Yes."]),
        ("conversation", ["Hello\nHi.\nAnd of slow?\nSluggish.", "Colour?\nRed.", "Hello\nHey.", " \n\nYes."]),
    ],
)
def test_which_texts_are_embedded(tmp_path_factory, kind, texts):
    folder = tiny_encoders.bert(tmp_path_factory.mktemp("bert"), positions=64)
    out = TextEmbedding(model=str(folder), text=kind).score(ROWS)
    assert out[f"{NAME}_status"] == ["no_text" if text is None else "ok" for text in texts]
    for vector, text in zip(out[NAME], texts, strict=True):
        assert (vector is None) if text is None else np.allclose(vector, plainly(folder, text), atol=1e-6)


def test_cls_is_the_first_token_where_there_is_one(bert, tmp_path):
    out = TextEmbedding(model=bert, pool="cls").score(ROWS)
    assert np.allclose(out[NAME][1], plainly(bert, "Colour?", "cls"), atol=1e-6)
    folder = str(tiny_encoders.bert(tmp_path, cls=False))
    assert np.allclose(TextEmbedding(model=folder).score(ROWS)[NAME][1], plainly(folder, "Colour?"), atol=1e-6)
    with pytest.raises(UsageError, match='has no CLS token: use pool="mean"'):
        TextEmbedding(model=folder, pool="cls").score(ROWS)


def test_a_cut_text_says_so_and_a_row_that_cannot_be_read_has_nulls(bert):
    rows = [chat("x" * 30, "!"), chat("x" * 31, "!"), chat("Hi", "!", status="invalid", reason="says the reader")]
    scorer = TextEmbedding(model=bert)
    out = scorer.score(rows)
    assert scorer.adds[f"{NAME}_truncated"] == "bool"
    assert out[f"{NAME}_truncated"] == [False, True, None]
    assert out[f"{NAME}_status"] == ["ok", "ok", "invalid"]
    assert out[f"{NAME}_reason"] == ["", "", "says the reader"]
    assert np.array_equal(out[NAME][0], out[NAME][1]) and out[NAME][2] is None
    short = TextEmbedding(model=bert, max_length=6).score([chat("abcdefgh", "!")])
    assert short[f"{NAME}_truncated"] == [True]
    assert np.allclose(short[NAME][0], plainly(bert, "abcd"), atol=1e-6)
    assert TextEmbedding(model=bert, max_length=500).score(rows[1:2])[f"{NAME}_truncated"] == [True]


def test_the_same_vectors_in_any_batch_and_order(bert):
    rows = [chat("word " * (at % 5) + f"number {at}", "!") for at in range(9)]
    vectors = []
    for micro_batch in (1, 4, None):
        scorer = TextEmbedding(model=bert, micro_batch=micro_batch)
        vectors.append(np.array(scorer.score(rows)[NAME]))
        forget_loaded()
        vectors.append(np.array(scorer.score(rows[::-1])[NAME])[::-1])
    for other in vectors[1:]:
        assert np.abs(other - vectors[0]).max() <= 1e-6


def test_equal_texts_are_embedded_once(bert):
    forget_loaded()
    scorer = TextEmbedding(model=bert, micro_batch=1)
    seen = []
    scorer.loaded.model.register_forward_hook(lambda *_: seen.append(1))
    scorer.score(ROWS)
    scorer.score(ROWS)
    assert len(seen) == 2


def test_score_adds_a_typed_column(bert, tmp_path):
    scored = hs.score(toys.pool(3), TextEmbedding(model=bert, prefix="q_"), cache_dir=tmp_path, progress=False)
    assert scored.features["q_text_embedding"] == datasets.List(datasets.Value("float32"), length=32)
    assert scored["q_text_embedding"][0] == scored["q_text_embedding"][1]
    assert scored["q_text_embedding_truncated"][:] == [False] * 3


def test_wrong_settings_are_one_sentence(bert, dino):
    with pytest.raises(UnknownName, match="unknown text 'question'; allowed: answers"):
        TextEmbedding(model=bert, text="question")
    with pytest.raises(UsageError, match="max_length=0: give a whole number"):
        TextEmbedding(model=bert, max_length=0)
    with pytest.raises(UsageError, match="can't be loaded as a text encoder"):
        TextEmbedding(model=dino).score(ROWS)
    assert TextEmbedding(model=bert).identity() != TextEmbedding(model=bert, text="answers").identity()


def test_a_window_whose_positions_start_behind_the_padding(tmp_path, bert):
    from transformers import AutoTokenizer, RobertaConfig, RobertaModel

    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = RobertaConfig(**sizes, vocab_size=300, max_position_embeddings=18, pad_token_id=1)
    RobertaModel(config).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(bert).save_pretrained(tmp_path)
    out = TextEmbedding(model=str(tmp_path)).score([chat("x" * 14, "!"), chat("x" * 15, "!")])
    assert out[f"{NAME}_truncated"] == [False, True]
