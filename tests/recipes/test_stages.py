"""A run's stages: reused only for the same inputs, and honest about what happened."""

import json

import pytest

from hf_select.errors import HFSelectError, UsageError
from hf_select.recipes.stages import RunFolder, digest


def counted(calls, summary):
    def work():
        calls.append(1)
        return summary

    return work


def test_a_done_stage_is_reused_and_another_input_is_not(tmp_path):
    calls, notes = [], []
    folder = RunFolder(tmp_path, notes.append)
    first = folder.stage("score", {"pool": "a"}, counted(calls, {"rows": 3}))
    again = RunFolder(tmp_path).stage("score", {"pool": "a"}, counted(calls, {"rows": 9}))
    assert (first.reused, again.reused, again.summary, len(calls)) == (False, True, {"rows": 3}, 1)
    other = folder.stage("score", {"pool": "b"}, counted(calls, {"rows": 4}))
    assert (other.reused, other.summary, len(calls)) == (False, {"rows": 4}, 2)
    assert any("done in" in note for note in notes)


def test_a_failed_stage_says_why_and_runs_again(tmp_path):
    folder = RunFolder(tmp_path)

    def fail():
        raise HFSelectError("no room")

    with pytest.raises(HFSelectError):
        folder.stage("fit", {}, fail)
    assert (folder.record("fit").state, folder.record("fit").message) == ("failed", "no room")
    assert folder.stage("fit", {}, lambda: {"ok": 1}).state == "done"


def test_an_interrupted_stage_says_so(tmp_path):
    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        RunFolder(tmp_path).stage("fit", {}, interrupt)
    assert RunFolder(tmp_path).record("fit").state == "interrupted"


def test_records_come_in_the_order_of_their_start_and_are_strict_json(tmp_path):
    folder = RunFolder(tmp_path)
    for name in ("check", "seed", "fit"):
        folder.stage(name, {}, dict)
    assert [record.name for record in folder.records()] == ["check", "seed", "fit"]
    for file in (tmp_path / "stages").glob("*"):
        json.loads(file.read_text(), parse_constant=lambda name: pytest.fail(name))


def test_a_broken_record_is_one_sentence(tmp_path):
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages" / "score.json").write_text("{")
    with pytest.raises(HFSelectError, match="not a stage record"):
        RunFolder(tmp_path).record("score")


def test_two_processes_never_work_in_one_folder(tmp_path):
    folder = RunFolder(tmp_path)
    assert not folder.is_claimed()
    with folder.claimed():
        assert RunFolder(tmp_path).is_claimed()
        with pytest.raises(UsageError, match="another process"), RunFolder(tmp_path).claimed():
            pass
    assert not folder.is_claimed()


def test_the_digest_ignores_the_order_of_keys():
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1}) != digest({"a": 1, "b": [3]})
