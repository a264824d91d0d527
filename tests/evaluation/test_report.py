import json

import pytest
from eval_reports import report

from hf_select.errors import UsageError
from hf_select.evaluation.report import SAMPLES, EvalReport


def test_saved_and_loaded_it_is_the_same(tmp_path):
    given = report({"docvqa": [1.0, 0.5], "chartqa": [0.0, 1.0]})
    again = EvalReport.load(given.save(tmp_path / "r"))
    assert again == given
    assert again.scores("docvqa") == {"docvqa-0": 1.0, "docvqa-1": 0.5}
    assert again["chartqa"].percent == 50.0
    assert again.macro == 62.5


def test_every_scale_becomes_0_to_100():
    assert report({"mme": [1000.0]}, scale=2000.0)["mme"].percent == 50.0


def test_the_table_shows_value_interval_and_failures(tmp_path):
    given = report({"docvqa": [1.0, 0.5]})
    failed = EvalReport(**{**given.__dict__, "failed": {"mme": "lost \x1b[31mits data"}})
    text = str(failed)
    assert "75.00" in text and "19.60" in text and "mean of tasks" in text
    assert "mme failed: lost ?[31mits data" in text


def test_without_a_result_there_is_no_mean():
    empty = EvalReport("m", "w", "s", (), {}, SAMPLES.empty_table(), {"a": "failed"})
    assert empty.macro is None
    assert "a failed" in empty.render()


@pytest.mark.parametrize("damage", ["no file", "not json", "old format", "a key is missing"])
def test_a_damaged_report_is_one_sentence(tmp_path, damage):
    folder = report({"docvqa": [1.0]}).save(tmp_path)
    file = folder / "report.json"
    data = json.loads(file.read_text())
    if damage == "no file":
        file.unlink()
    elif damage == "not json":
        file.write_text("{")
    else:
        file.write_text(json.dumps(data | {"format": 0} if damage == "old format" else {"format": 1}))
    with pytest.raises(UsageError, match="again|hf-select eval"):
        EvalReport.load(folder)
