"""The cosine of pictures and texts, against CLIP's and SigLIP's own two sides, one row at a time."""

import datasets
import numpy as np
import pytest
import tiny_encoders
import torch
import toys
from dialogues import chat, picture
from transformers import (
    AutoImageProcessor,
    AutoTokenizer,
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPProcessor,
    CLIPTokenizer,
    SiglipConfig,
    SiglipImageProcessor,
    SiglipModel,
)

import hf_select as hs
from hf_select.errors import UnknownName, UsageError
from hf_select.pool.images import RowImage
from hf_select.scoring.loaded import forget_loaded
from hf_select.scoring.pair_similarity import PairSimilarity

SIZES = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
SEES = SIZES | {"image_size": 28, "patch_size": 14, "initializer_range": 1.0}
WINDOW = 24

ROWS = [
    chat((picture(), "What colour?"), "Red."),
    chat((picture("blue"), "What colour is the square, if it is a square?"), "Blue."),
    chat(("Are ", picture(), picture("green", (30, 90)), "alike?"), "No."),
    chat((picture("yellow"), "Colour?"), "Yellow.", "Sure?", "Yes."),
]
TEXTS = ["What colour?", "What colour is the square, if it is a square?", "Are alike?", "Colour?\nSure?"]


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A whole CLIP with the processor that belongs to it; its tokenizer knows letters only."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("clip")
    letters = [chr(code) for code in range(33, 127)]
    words = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    tokenizer = CLIPTokenizer(vocab={word: at for at, word in enumerate(words)}, merges=[], model_max_length=WINDOW)
    text = SIZES | {"vocab_size": len(words), "bos_token_id": len(words) - 2, "eos_token_id": len(words) - 1}
    text |= {"max_position_embeddings": WINDOW, "initializer_range": 1.0, "pad_token_id": len(words) - 1}
    model = CLIPModel(CLIPConfig(vision_config=SEES, text_config=text, projection_dim=16)).eval()
    images = CLIPImageProcessor(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28})
    model.save_pretrained(folder)
    CLIPProcessor(images, tokenizer).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def siglip(tmp_path_factory):
    """A whole SigLIP, whose texts are padded to the window, with a tokenizer of bytes."""
    folder = tiny_encoders.bert(tmp_path_factory.mktemp("siglip"))
    torch.manual_seed(0)
    text = SIZES | {"vocab_size": 300, "max_position_embeddings": WINDOW, "projection_size": 32, "pad_token_id": 0}
    model = SiglipModel(SiglipConfig(vision_config=SEES, text_config=text)).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(folder)
    SiglipImageProcessor(size={"height": 28, "width": 28}).save_pretrained(folder)
    return str(folder)


def plainly(model, processor, tokenizer, row, text, **padding):
    """One row, one picture at a time."""
    seen = []
    with torch.no_grad():
        tokens = tokenizer(text, return_tensors="pt", truncation=True, max_length=WINDOW, **padding)
        tokens.pop("token_type_ids", None)
        if padding:
            tokens.pop("attention_mask")
        read = model.get_text_features(**tokens).pooler_output[0].double().numpy()
        for image in row.images:
            pixels = processor(images=image.open(), return_tensors="pt")["pixel_values"]
            vector = model.get_image_features(pixel_values=pixels).pooler_output[0].double().numpy()
            seen.append(vector / np.linalg.norm(vector))
    mean = np.mean(seen, axis=0)
    return float(mean @ read / np.linalg.norm(mean) / np.linalg.norm(read))


def test_clip_score_is_the_cosine_of_its_two_sides(clip):
    model, processor = CLIPModel.from_pretrained(clip).eval(), CLIPImageProcessor.from_pretrained(clip)
    out = PairSimilarity(model=clip).score(ROWS)
    expected = [
        plainly(model, processor, CLIPTokenizer.from_pretrained(clip), row, text)
        for row, text in zip(ROWS, TEXTS, strict=True)
    ]
    assert out["clip_status"] == ["ok"] * 4, out["clip_reason"]
    assert np.abs(np.subtract(out["clip_score"], expected)).max() < 1e-5
    assert len({round(score, 4) for score in expected}) == 4
    assert out["clip_truncated"] == [False, True, False, False]
    logits = model(
        **CLIPProcessor.from_pretrained(clip)(text=TEXTS[:1], images=[ROWS[0].images[0].open()], return_tensors="pt")
    )
    cosine = logits.logits_per_image[0, 0].item() / model.logit_scale.exp().item()
    assert out["clip_score"][0] == pytest.approx(cosine, abs=1e-5)


def test_siglip_reads_texts_padded_to_its_window(siglip):
    model, processor = SiglipModel.from_pretrained(siglip).eval(), AutoImageProcessor.from_pretrained(siglip)
    out = PairSimilarity(model=siglip).score(ROWS)
    tokenizer = AutoTokenizer.from_pretrained(siglip)
    expected = [
        plainly(model, processor, tokenizer, row, text, padding="max_length")
        for row, text in zip(ROWS, TEXTS, strict=True)
    ]
    assert out["clip_status"] == ["ok"] * 4, out["clip_reason"]
    assert np.abs(np.subtract(out["clip_score"], expected)).max() < 1e-5
    assert len({round(score, 4) for score in expected}) == 4


@pytest.mark.parametrize(
    ("kind", "text"), [("answers", "Yellow.\nYes."), ("conversation", "Colour?\nYellow.\nSure?\nYes.")]
)
def test_which_text_is_compared(clip, kind, text):
    model, processor = CLIPModel.from_pretrained(clip).eval(), CLIPImageProcessor.from_pretrained(clip)
    expected = plainly(model, processor, CLIPTokenizer.from_pretrained(clip), ROWS[3], text)
    assert PairSimilarity(model=clip, text=kind).score(ROWS[3:])["clip_score"] == pytest.approx([expected], abs=1e-5)


def test_rows_without_a_score_have_a_reason(clip, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8 not a picture")
    rows = [
        chat("Hi", "Hello."),
        chat((picture(), " \n"), "Red."),
        chat((picture(), "Hi"), "!", status="invalid", reason="says the reader"),
        chat((RowImage.of(str(tmp_path / "broken.jpg")), "Hi"), "Hello."),
        ROWS[0],
    ]
    out = PairSimilarity(model=clip, prefix="a_").score(rows)
    assert out["a_clip_status"] == ["no_image", "no_text", "invalid", "image_unreadable", "ok"]
    assert [score is None for score in out["a_clip_score"]] == [True] * 4 + [False]
    assert out["a_clip_truncated"] == [None] * 4 + [False]
    assert out["a_clip_reason"][2] == "says the reader" and all(out["a_clip_reason"][:4])


def test_the_same_scores_in_any_batch_and_order(clip):
    scores = []
    for micro_batch, order in ((1, 1), (3, -1), (None, 1)):
        forget_loaded()
        scores.append(PairSimilarity(model=clip, micro_batch=micro_batch).score(ROWS[::order])["clip_score"][::order])
    for other in scores[1:]:
        assert np.abs(np.subtract(other, scores[0])).max() <= 1e-6


def test_score_adds_typed_columns(clip, tmp_path):
    scored = hs.score(toys.pool(3), PairSimilarity(model=clip), cache_dir=tmp_path, progress=False)
    assert scored.features["clip_score"] == datasets.Value("float32")
    assert scored.features["clip_truncated"] == datasets.Value("bool")
    assert scored["clip_status"][:] == ["ok"] * 3


def test_wrong_settings_and_other_models_are_one_sentence(clip, tmp_path):
    with pytest.raises(UnknownName, match="unknown text 'question'; allowed: answers"):
        PairSimilarity(model=clip, text="question")
    with pytest.raises(UsageError, match="micro_batch=0: give a whole number"):
        PairSimilarity(model=clip, micro_batch=0)
    bert = str(tiny_encoders.bert(tmp_path / "bert"))
    CLIPImageProcessor().save_pretrained(bert)
    with pytest.raises(UsageError, match=r"\(BertModel\) has no text and image features: give a CLIP or SigLIP"):
        PairSimilarity(model=bert).score(ROWS)
    dino = str(tiny_encoders.dinov2(tmp_path / "dino"))
    with pytest.raises(UsageError, match="can't be loaded as an encoder of pictures and texts"):
        PairSimilarity(model=dino).score(ROWS)
