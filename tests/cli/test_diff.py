import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hf_select.cli.main import main
from hf_select.sampling.ranked import Bottom, Top


@pytest.fixture
def folders(tmp_path):
    table = pa.table(
        {
            "row_key": [f"{n:032x}" for n in range(10)],
            "row_task": ["a"] * 5 + ["b"] * 5,
            "row_status": ["ok"] * 9 + ["image_missing"],
            "worth": [float(n) for n in range(10)],
        }
    )
    Top(score="worth", group="row_task").select(table, 6).save(tmp_path / "top")
    Bottom(score="worth", group="row_task").select(table, 6).save(tmp_path / "run" / "select")
    return str(tmp_path / "top"), str(tmp_path / "run")


def test_overlap_groups_and_why(folders, capsys):
    assert main(["diff", *folders, "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["first"] == told["second"] == 6
    assert told["both"] + told["only_first"]["count"] == 6
    assert told["jaccard"] == pytest.approx(told["both"] / (12 - told["both"]))
    assert told["only_first"]["reasons"] == {"top": told["only_first"]["count"]}
    assert told["only_first"]["rejected"] == {"image_missing": 1}
    assert {group["group"] for group in told["groups"]} == {"a", "b"}


def test_people_see_a_table_and_scripts_a_number(folders, capsys):
    assert main(["diff", *folders, "--rows", "1"]) == 0
    text = capsys.readouterr().out
    assert "Jaccard" in text and "only first" in text and "could not choose image_missing (1)" in text
    assert main(["diff", folders[0], folders[0], "--format", "quiet"]) == 0
    assert float(capsys.readouterr().out) == 1.0


def test_what_was_asked_for_and_why_not_are_told(folders, capsys):
    assert main(["diff", *folders, "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["settings"] == [{"setting": "sampler", "first": "Top", "second": "Bottom"}]
    assert told["tasks"] == []
    row = told["only_first"]["rows"][0]
    assert row["why_not"].startswith("over the scores kept there")
    assert sum(told["only_first"]["why_not"].values()) == told["only_first"]["count"]


def test_tasks_are_counted_where_a_run_has_them(folders, tmp_path, capsys):
    keys = [f"{n:032x}" for n in range(10)]
    facts = pa.table({"row_key": keys, "row_task": ["red\x1b[2J", None] * 5})
    pq.write_table(facts, tmp_path / "run" / "facts.parquet")
    assert main(["diff", *folders, "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {entry["task"] for entry in told["tasks"]} == {"red\x1b[2J", "(no task)"}
    assert sum(entry["both"] for entry in told["tasks"]) == told["both"]
    assert sum(entry["second"] for entry in told["tasks"]) == told["second"]
    assert told["only_second"]["rows"][0]["task"] in ("red\x1b[2J", "(no task)")
    assert main(["diff", *folders]) == 0
    text = capsys.readouterr().out
    assert "task" in text and "\x1b" not in text


def test_equal_selections_differ_in_nothing(folders, capsys):
    assert main(["diff", folders[0], folders[0], "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["settings"], told["only_first"]["count"], told["only_second"]["rows"]) == ([], 0, [])
    assert main(["diff", folders[0], folders[0]]) == 0
    assert "0 rows, kept as nothing" in capsys.readouterr().out


def test_what_holds_no_selection_is_told(tmp_path, capsys):
    assert main(["diff", str(tmp_path), str(tmp_path)]) == 2
    assert "holds no selection" in capsys.readouterr().err
