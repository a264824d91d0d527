import json

import pytest

from hf_select.errors import UsageError
from hf_select.pool import jsonfiles


def read(tmp_path, text, name="pool.json"):
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return [record for record, *_ in jsonfiles.records(path)]


RECORDS = [{"id": "007", "text": 'a\u2028b ] , { " é'}, {"id": 7, "list": [1, [2.5, None]]}, {}]


@pytest.mark.parametrize("chunk", [1, 7, 1 << 20])
@pytest.mark.parametrize("indent", [None, 1])
def test_arrays(tmp_path, monkeypatch, chunk, indent):
    monkeypatch.setattr(jsonfiles, "_CHUNK", chunk)
    assert read(tmp_path, json.dumps(RECORDS, indent=indent, ensure_ascii=False)) == RECORDS
    assert read(tmp_path, f"\n {json.dumps(RECORDS, indent=indent)}\n\n") == RECORDS
    assert read(tmp_path, " [ ] ") == []


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n"])
def test_lines(tmp_path, end):
    text = end.join(json.dumps(record, ensure_ascii=False) for record in RECORDS)
    assert read(tmp_path, text, "pool.jsonl") == RECORDS
    assert read(tmp_path, text + end, "pool.jsonl") == RECORDS


@pytest.mark.parametrize("text", [json.dumps(RECORDS), "\n".join(map(json.dumps, RECORDS))])
def test_a_byte_order_mark_is_skipped(tmp_path, text):
    assert read(tmp_path, b"\xef\xbb\xbf" + text.encode()) == RECORDS


def test_an_empty_file_has_no_records(tmp_path):
    assert read(tmp_path, "") == []
    assert read(tmp_path, " \n\n") == []


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('{"a": 1}\n{"a": \n{"a": 3}\n', 2),
        ('{"a": 1}\n\n7\n', 3),
        (b'{"a": 1}\n{"a": "\xff"}\n', 2),
        ('[{"a": 1},\n {"a": }]', 2),
        ('[{"a": 1},\n\n "text"]', 3),
        ('[{"a": 1}\n{"a": 2}]', 2),
        ('[{"a": 1},\n{"a": 2}', 2),
        ('[{"a": 1},\n]', 2),
        ('[{"a": 1}]\n{"a": 2}', 2),
        ("text", 1),
        ("[" * 100000, 1),
        ('{"a":' * 100000, 1),
    ],
)
def test_what_is_broken_is_named_with_its_line(tmp_path, text, line):
    with pytest.raises(UsageError, match=f"pool.json line {line} ") as caught:
        read(tmp_path, text)
    assert len(str(caught.value)) < 400


def test_bytes_that_are_no_text_are_named(tmp_path):
    with pytest.raises(UsageError, match="UTF-8"):
        read(tmp_path, b"\xff\xfe{\x00")
    with pytest.raises(UsageError, match="JSON"):
        read(tmp_path, b'[{"a": 1}, {"a": "\xff"}]')
