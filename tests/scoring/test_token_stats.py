"""Statistics of answer tokens: against plain loops over a model's own logits, and as users meet the columns."""

import math

import pytest
import tiny
import torch
from datasets import Dataset
from dialogues import chat, mixed_rows, picture

import hf_select as hs
from hf_select.errors import UsageError
from hf_select.pool.row import Message, Part
from hf_select.scoring import token_stats
from hf_select.scoring.encode import ChatEncoder
from hf_select.scoring.losses import summed
from hf_select.scoring.model import load_vlm
from hf_select.scoring.token_stats import STATISTICS, TokenStats


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(tiny.llava(tmp_path_factory.mktemp("llava")))


@pytest.fixture
def live(folder):
    return load_vlm(folder)


def plain(logits, target):
    """The three formulas in float64, word by word."""
    z = [float(x) for x in logits]
    top = max(z)
    total = sum(math.exp(x - top) for x in z)
    p = [math.exp(x - top) / total for x in z]
    el2n = math.sqrt(sum((q - (v == target)) ** 2 for v, q in enumerate(p)))
    margin = p[target] - max(q for v, q in enumerate(p) if v != target)
    entropy = -sum(q * math.log(q) for q in p if q > 0)
    return el2n, margin, entropy


def plain_row(model, processor, row):
    one = ChatEncoder(processor).encode(row)
    with torch.no_grad():
        logits = model(**one.inputs).logits[0]
    labels = one.labels[0].tolist()
    found = [plain(logits[t - 1], labels[t]) for t in range(1, len(labels)) if labels[t] != -100]
    return [sum(values) / len(values) for values in zip(*found, strict=True)]


def stats(columns):
    return torch.tensor([columns[name] for name in STATISTICS], dtype=torch.float64).T


@pytest.mark.parametrize("micro_batch", [None, 4])
def test_numbers_are_those_of_plain_loops(folder, live, micro_batch):
    rows = mixed_rows()
    found = TokenStats(model=folder, micro_batch=micro_batch).score(rows)
    assert found["token_status"] == ["ok"] * len(rows) and found["token_reason"] == [""] * len(rows)
    expected = torch.tensor([plain_row(*live, row) for row in rows], dtype=torch.float64)
    torch.testing.assert_close(stats(found), expected, rtol=1e-5, atol=0)


def test_batch_order_and_neighbours_change_nothing(folder):
    rows = mixed_rows()
    scorer = TokenStats(model=folder)
    alone = stats(scorer.score(rows))
    order = [4, 2, 0, 5, 1, 3]
    batched = stats(TokenStats(model=folder, micro_batch=3).score([rows[i] for i in order]))
    torch.testing.assert_close(batched, alone[order], rtol=1e-5, atol=0)
    assert torch.equal(torch.cat([stats(scorer.score([row])) for row in rows]), alone)


@pytest.mark.parametrize(
    ("logits", "target", "expected"),
    [
        ([0.0, 0.0, 0.0, 0.0], 1, (math.sqrt(0.75), 0.0, math.log(4))),
        ([500.0, 0.0, -500.0, -500.0], 0, (0.0, 1.0, 0.0)),
        ([500.0, 0.0, -500.0, -500.0], 2, (math.sqrt(2), -1.0, 0.0)),
        ([math.log(3), 0.0, -math.inf, -math.inf], 0, (math.sqrt(0.125), 0.5, math.log(4) - 0.75 * math.log(3))),
    ],
    ids=["no idea", "certain and right", "certain and wrong", "impossible words"],
)
def test_ends_of_the_scales(logits, target, expected):
    found = token_stats.token_stats(torch.tensor([logits]), torch.tensor([target]))
    assert found[0].tolist() == pytest.approx(expected, abs=1e-6)


def test_the_error_of_a_sure_prediction_keeps_its_digits():
    """In float32, 1 - p is 0 here."""
    logits = torch.tensor([[20.0, 0.0, 0.0]])
    error = math.exp(-20)
    found = token_stats.token_stats(logits, torch.tensor([0]))
    assert found[0, 0].item() == pytest.approx(math.sqrt(2 * error**2 + (2 * error) ** 2), rel=1e-5)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_logit_that_is_no_number_gives_none(value):
    found = token_stats.token_stats(torch.tensor([[0.0, value, 1.0]]), torch.tensor([0]))
    assert found.isnan().all()


def test_half_precision_logits_are_read_in_float32_and_pieces_change_nothing():
    logits = torch.randn(3, 5, 50, generator=torch.Generator().manual_seed(0)).bfloat16()
    targets = torch.randint(0, 50, (3, 5), generator=torch.Generator().manual_seed(1))
    targets[0, 2:] = -100
    whole, counts = summed(token_stats.token_stats, logits, targets, 100, (3,))
    pieces, _ = summed(token_stats.token_stats, logits, targets, 2, (3,))
    torch.testing.assert_close(pieces, whole, rtol=1e-12, atol=0)
    assert counts.tolist() == [2, 5, 5]
    expected = [plain(logits[1, j], int(targets[1, j])) for j in range(5)]
    assert whole[1].tolist() == pytest.approx([sum(x) for x in zip(*expected, strict=True)], rel=1e-5)


def test_the_vocabulary_bounds_how_many_tokens_are_read_at_once(folder, live, monkeypatch):
    sizes = []
    real = token_stats.token_stats
    monkeypatch.setattr(token_stats, "token_stats", lambda z, y: (sizes.append(z.shape), real(z, y))[1])
    expected = TokenStats(model=folder).score(mixed_rows())
    words = sizes[0][1]
    sizes.clear()
    monkeypatch.setattr(token_stats, "_CELLS", 5 * words)
    found = TokenStats.of(*live, micro_batch=4).score(mixed_rows())
    assert max(n for n, _ in sizes) == 5
    torch.testing.assert_close(stats(found), stats(expected), rtol=1e-5, atol=0)


def test_columns_and_types_through_map(folder):
    scorer = TokenStats(model=folder, prefix="seed_")
    turns = [{"from": "human", "value": "Say hi."}, {"from": "gpt", "value": "Hi."}]
    pool = Dataset.from_dict({"conversations": [turns, [turns[0], {"from": "gpt", "value": " "}]]})
    scored = pool.map(scorer, batched=True)
    new = {name: str(scored.features[name].dtype) for name in scored.column_names if name.startswith("seed_")}
    assert new == dict(scorer.adds)
    assert new == {
        **{f"seed_{name}": "float32" for name in ("el2n", "margin", "entropy")},
        **{"seed_token_status": "string", "seed_token_reason": "string"},
    }
    assert scored["seed_token_status"][:] == ["ok", "no_supervised_tokens"]
    assert [scored[f"seed_{name}"][1] for name in STATISTICS] == [None] * 3
    assert "no answer with text" in scored["seed_token_reason"][1]


def test_statuses_are_those_of_the_loss(folder, live):
    rows = [
        hs.Row(status="invalid", reason="no conversation"),
        chat("word", "word " * 300),
        chat((picture(), picture("blue"), picture("green"), "Colours?"), "Red."),
        hs.Row((*chat("Say hi.").messages, Message("assistant", (Part("Hi."),), supervised=False))),
        chat("Say hi.", "Hi."),
    ]
    found = TokenStats(model=folder, max_length=40, micro_batch=4).score(rows)
    loss = hs.AnswerLoss(model=folder, max_length=40).score(rows)
    assert found["token_status"] == loss["loss_status"]
    assert found["token_status"] == ["invalid", "truncated", "too_long", "no_supervised_tokens", "ok"]
    assert found["token_reason"] == loss["loss_reason"]
    assert [found["el2n"][i] for i in range(4)] == [None] * 4
    assert TokenStats(model=folder).score([]) == {name: [] for name in TokenStats(model=folder).adds}
    model, processor = live
    with torch.no_grad():
        model.lm_head.weight[7] = math.nan
    broken = TokenStats.of(model, processor).score(rows[4:])
    assert (broken["token_status"], broken["entropy"]) == (["non_finite"], [None])


def test_name_identity_and_settings(folder):
    assert hs.TokenStats is TokenStats
    assert TokenStats(model=folder).identity() != hs.AnswerLoss(model=folder).identity()
    assert TokenStats(model=folder, micro_batch=2).identity() == TokenStats(model=folder).identity()
    assert TokenStats(model=folder, max_length=9).identity() != TokenStats(model=folder).identity()
    with pytest.raises(UsageError, match="max_length=0"):
        TokenStats(model=folder, max_length=0)
