import math

import pytest
import torch

from hf_select.scoring import losses
from hf_select.scoring.losses import evaluating, row_losses, summed_nll


class Fixed(torch.nn.Module):
    """A model that answers with the logits it was given, at all places or where asked."""

    def __init__(self, logits, takes_positions):
        super().__init__()
        self.logits = logits
        if takes_positions:
            self.forward = self._at
        self.asked = None

    def _at(self, input_ids, logits_to_keep=0, return_dict=True):
        self.asked = logits_to_keep
        return type("Out", (), {"logits": self.logits[:, logits_to_keep]})()

    def forward(self, input_ids, return_dict=True):
        return type("Out", (), {"logits": self.logits})()


@pytest.fixture(params=[True, False], ids=["positions", "all logits"])
def takes_positions(request):
    return request.param


def nll(logits, token):
    return -(logits[token] - logits.logsumexp(-1)).item()


def test_num_02_labels_are_shifted_once(takes_positions):
    logits = torch.randn(2, 4, 5, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([[3, -100, -100, -100], [-100, -100, -100, 3]])
    model = Fixed(logits, takes_positions)
    sums, counts = row_losses(model, {"input_ids": labels.clamp(0), "labels": labels})
    assert counts.tolist() == [0, 1]
    assert sums.tolist() == [0.0, pytest.approx(nll(logits[1, 2], 3), rel=1e-6)]
    if takes_positions:
        assert model.asked.tolist() == [2]


def test_num_02_label_on_the_first_position_alone_asks_for_no_forward(takes_positions):
    labels = torch.tensor([[3, -100, -100]])
    sums, counts = row_losses(Fixed(None, takes_positions), {"input_ids": labels, "labels": labels})
    assert (sums.tolist(), counts.tolist()) == ([0.0], [0])


def test_num_03_a_rows_score_is_its_own_sum_and_count():
    """Two rows with token losses (2, 4) and seven times 1: means 3.0 and 1.0, neither 1.4444 nor 2.0."""
    wanted = [[2.0, 4.0], [1.0] * 7]
    logits, targets = torch.zeros(2, 7, 2), torch.full((2, 7), -100)
    for i, row in enumerate(wanted):
        for j, value in enumerate(row):
            targets[i, j] = 0
            logits[i, j] = torch.tensor([-value, math.log1p(-math.exp(-value))])
    sums, counts = summed_nll(logits, targets)
    assert (sums / counts).tolist() == pytest.approx([3.0, 1.0], abs=1e-6)


def test_chunks_change_nothing(monkeypatch):
    logits = torch.randn(3, 50, 11)
    targets = torch.randint(0, 11, (3, 50))
    targets[torch.rand(3, 50) < 0.3] = -100
    whole, counts = summed_nll(logits, targets)
    monkeypatch.setattr(losses, "_CHUNK", 7)
    pieces, same = summed_nll(logits, targets)
    torch.testing.assert_close(pieces, whole, rtol=1e-12, atol=0)
    assert torch.equal(counts, same)


def test_cross_entropy_is_float32_for_half_precision_logits():
    logits = torch.randn(1, 4, 9).bfloat16()
    targets = torch.tensor([[1, 2, 3, 4]])
    sums, _ = summed_nll(logits, targets)
    assert sums.item() == pytest.approx(sum(nll(logits[0, i].double(), i + 1) for i in range(4)), rel=1e-6)


def test_num_27_every_module_gets_its_mode_back():
    model = torch.nn.Sequential(torch.nn.Dropout(0.5), torch.nn.Sequential(torch.nn.Dropout(0.5))).train()
    model[1].eval()
    x = torch.ones(100)
    with evaluating(model):
        assert torch.equal(model(x), x)
        assert torch.is_inference_mode_enabled()
    assert (model.training, model[0].training, model[1].training, model[1][0].training) == (True, True, False, False)
