import pytest

from hf_select.errors import HFSelectError, UsageError
from hf_select.training.record import FitRecord, FitResult, claim


def result(out):
    return FitResult(out, steps=3, rows=8, skipped={"image_missing": 1}, loss=0.5, seconds=1.5)


def test_a_new_folder_gets_an_unfinished_record(tmp_path):
    record = claim(tmp_path / "out", {"seed": 0, "sizes": (1, 2)})
    assert record.as_result(tmp_path) is None
    assert FitRecord.read(tmp_path / "out") == record == claim(tmp_path / "out", {"seed": 0, "sizes": (1, 2)})


def test_a_finished_record_gives_its_result_back(tmp_path):
    out = tmp_path / "out"
    claim(out, {"seed": 0}).finished(result(out), {"device": "cpu"}).write(out)
    assert claim(out, {"seed": 0}).as_result(out) == result(out)


def test_another_identity_is_refused_and_the_difference_named(tmp_path):
    claim(tmp_path, {"config": {"lr": 0.1, "seed": 0}, "pool": "a"})
    with pytest.raises(UsageError, match=r"config\.lr is 0\.1 there and 0\.2 now; pool is 'a' there and 'b' now"):
        claim(tmp_path, {"config": {"lr": 0.2, "seed": 0}, "pool": "b"})


def test_a_folder_with_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds no fine-tune"):
        claim(tmp_path, {})
    with pytest.raises(UsageError, match="holds no fine-tune"):
        claim(tmp_path / "thesis.txt", {})


@pytest.mark.parametrize("text", ["{", "[]", '{"other": 1}'])
def test_a_damaged_record_is_one_sentence(tmp_path, text):
    (tmp_path / "fit.json").write_text(text)
    with pytest.raises(HFSelectError, match="not a record of a fine-tune"):
        claim(tmp_path, {})


def test_what_a_kill_left_before_the_first_record_is_no_obstacle(tmp_path):
    (tmp_path / ".fit.json.0123.part").write_text("{")
    assert claim(tmp_path, {"model": 1}).identity == {"model": 1}
