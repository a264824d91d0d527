import json

import datasets
import pictures
import pytest

from hf_select.cli.main import main


@pytest.fixture
def pool(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    pictures.write(tmp_path, "red8x6.png", "truncated.jpg")
    names = ["red8x6.png", "red8x6.png", "truncated.jpg"]
    records = [
        {
            "id": str(number),
            "image": f"img/{name}",
            "task": "colours",
            "conversations": [{"from": "human", "value": "<image>\nColour?"}, {"from": "gpt", "value": str(number)}],
        }
        for number, name in enumerate(names)
    ]
    path = tmp_path / "pool.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_a_table_for_people(pool, capsys):
    assert main(["check", str(pool)]) == 0
    text = capsys.readouterr().out
    assert text.startswith("3 rows, 1 task, schema llava")
    assert "image_unreadable" in text


def test_json_for_programs(pool, capsys):
    assert main(["check", str(pool), "--format", "json", "--task-field", "id"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["rows"] == 3
    assert report["tasks"] == {"0": 1, "1": 1, "2": 1}
    assert report["statuses"] == {"image_unreadable": 1, "ok": 2}


def test_read_as_pictures_it_says_that_there_are_no_answers(pool, capsys):
    assert main(["check", str(pool), "--schema", "images", "--format", "json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["schema"], report["without_answer"]) == ("images", 2)
    assert report["statuses"] == {"image_unreadable": 1, "ok": 2}
    assert main(["check", str(pool), "--schema", "images"]) == 0
    assert "rows without an answer" in capsys.readouterr().out


def test_strict_exits_with_three(pool, capsys):
    assert main(["check", str(pool), "--strict"]) == 3
    written = capsys.readouterr()
    assert "3 rows" in written.out
    assert "1 row has the status image_unreadable" in written.err


def test_strict_passes_a_clean_pool(pool, capsys):
    pool.write_text("".join(pool.read_text().splitlines(keepends=True)[:2]))
    assert main(["check", str(pool), "--strict"]) == 0
    assert "nothing is wrong" in capsys.readouterr().out


def test_no_picture_is_opened_in_a_sample_of_none(pool, capsys):
    assert main(["check", str(pool), "--sample", "0", "--strict"]) == 0
    assert "images opened (a sample)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--schema", "lava"], "Did you mean 'llava'"),
        (["--task-field", "tsk"], "Did you mean 'task'"),
        (["--max-length", "10"], "--model"),
    ],
)
def test_wrong_words_are_one_sentence(pool, capsys, flags, words):
    assert main(["check", str(pool), *flags]) == 2
    assert words in capsys.readouterr().err


def test_a_pool_that_is_not_there(tmp_path, capsys):
    assert main(["check", str(tmp_path / "gone.jsonl")]) == 2
    assert "gone.jsonl" in capsys.readouterr().err
