"""Answer lengths without weights are those that come with the loss."""

import shutil

import pytest
import tiny
from dialogues import chat, mixed_rows, picture

from hf_select.errors import UsageError
from hf_select.pool.row import Row
from hf_select.scoring.answer_length import AnswerLength
from hf_select.scoring.answer_loss import AnswerLoss


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(tiny.llava(tmp_path_factory.mktemp("llava")))


def test_every_column_is_that_of_the_loss(folder):
    rows = [*mixed_rows(), Row(status="invalid", reason="x"), chat((picture(), "<image>?"), "Red.")]
    counted = AnswerLength(model=folder, prefix="m_").score(rows)
    scored = AnswerLoss(model=folder, prefix="m_").score(rows)
    assert counted == {name: scored[name] for name in counted}
    assert set(counted) == set(scored) - {"m_loss_full"}


def test_no_weights_are_read_and_rows_beyond_the_window_have_no_number(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "m")
    (tmp_path / "m" / "model.safetensors").write_bytes(b"not a checkpoint")
    counter = AnswerLength(model=str(tmp_path / "m"), max_length=40)
    columns = counter.score([chat("what", "cat"), chat("word " * 100, "cat")])
    assert columns["tokens_full"][0] > 0 and columns["loss_status"][0] == "ok"
    assert columns["tokens_full"][1] is None and "window" in columns["loss_reason"][1]
    assert dict(counter.adds)["tokens_full"] == "int32"


def test_a_window_is_at_least_one_token(folder):
    with pytest.raises(UsageError, match="at least 1"):
        AnswerLength(model=folder, max_length=0)
