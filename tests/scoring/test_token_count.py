import pytest
import tiny
from dialogues import chat, mixed_rows, picture

from hf_select.pool.row import Row
from hf_select.scoring.answer_loss import AnswerLoss
from hf_select.scoring.token_count import TokenCount


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(tiny.llava(tmp_path_factory.mktemp("llava")))


def test_counts_are_those_of_the_loss(folder):
    rows = mixed_rows()
    assert TokenCount(model=folder).score(rows) == {"n_tokens": AnswerLoss(model=folder).score(rows)["n_tokens"]}


def test_counts_beyond_the_window_and_nulls_where_nothing_can_be_written(folder):
    counter = TokenCount(model=folder, prefix="llava_")
    rows = [chat("word " * 3000, "Red."), chat((picture(), "<image>?"), "Red."), Row(status="invalid", reason="x")]
    counts = counter.score(rows)["llava_n_tokens"]
    assert counts[0] > 3000
    assert counts[1:] == [None, None]
    assert dict(counter.adds) == {"llava_n_tokens": "int32"}


def test_no_weights_are_read(folder, tmp_path):
    import shutil

    shutil.copytree(folder, tmp_path / "m")
    (tmp_path / "m" / "model.safetensors").write_bytes(b"not a checkpoint")
    counter = TokenCount(model=str(tmp_path / "m"))
    assert counter.score([chat("what", "cat")])["n_tokens"][0] > 0
