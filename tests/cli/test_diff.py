import json

import pyarrow as pa
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


def test_what_holds_no_selection_is_told(tmp_path, capsys):
    assert main(["diff", str(tmp_path), str(tmp_path)]) == 2
    assert "holds no selection" in capsys.readouterr().err
