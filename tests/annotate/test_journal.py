import json

import pytest

from hf_select.annotate.annotator import Request
from hf_select.annotate.chosen import Chosen
from hf_select.annotate.journal import FILE, Journal, entry_of, request_key
from hf_select.pool.images import RowImage
from hf_select.pool.row import Row


def chosen(address="a", image="one", prompt="Ask."):
    return Chosen(address, 0, "id", "task", "ok", "", (image,), prompt)


def entry(key="k", attempt=1, status="ok", **rest):
    request = Request("a", 0, Row(images=(RowImage.of(b"one"),)), "Ask.")
    return entry_of(request, key, attempt, status, "why", **rest)


def test_what_was_written_is_read_again(tmp_path):
    journal = Journal(tmp_path)
    journal.write(entry(turns=(("q\u2028", "ä"),), text="raw", tokens_in=3, tokens_out=2))
    again = Journal(tmp_path)
    assert again.entries == journal.entries
    assert (again.tokens_in, again.tokens_out) == (3, 2)
    assert again.final("k").turns == (("q\u2028", "ä"),)


@pytest.mark.parametrize("torn", [b'{"key": "z", "addr', b"\xff\xfe", b"[1]\n", b"null\n", b'{"key": "z"}\n'])
def test_a_torn_line_costs_itself_only(tmp_path, torn):
    Journal(tmp_path).write(entry("a"))
    with (tmp_path / FILE).open("ab") as file:
        file.write(torn)
    journal = Journal(tmp_path)
    journal.write(entry("b"))
    assert set(Journal(tmp_path).entries) == {"a", "b"}


def test_unreadable_answers_are_final_after_the_second_and_refusals_at_once(tmp_path):
    journal = Journal(tmp_path)
    for key, attempt, status in [
        ("a", 1, "unparsable"),
        ("b", 2, "unparsable"),
        ("c", 1, "refused"),
        ("d", 1, "empty"),
    ]:
        journal.write(entry(key, attempt, status))
    assert [journal.final(key) is not None for key in "abcde"] == [False, True, True, False, False]


def test_the_key_holds_address_pictures_annotator_and_prompt():
    me = {"annotator": "x"}
    one = request_key(chosen(), me)
    others = [chosen("b"), chosen(image="two"), chosen(prompt="Tell.")]
    assert len({one, request_key(chosen(), {"annotator": "y"}), *(request_key(r, me) for r in others)}) == 5
    assert one == request_key(chosen(), me)


def test_failures_are_forgotten_on_request_and_good_answers_never(tmp_path):
    journal = Journal(tmp_path)
    for key, status in [("a", "refused"), ("b", "ok"), ("c", "refused")]:
        journal.write(entry(key, status=status))
    journal.forget_failed(["a", "b", "none"])
    assert [journal.final(key) is not None for key in "abc"] == [False, True, True]
    assert set(Journal(tmp_path).entries) == {"a", "b", "c"}


def test_reading_makes_no_folder(tmp_path):
    assert Journal(tmp_path / "none").entries == {}
    assert not (tmp_path / "none").exists()


def test_lines_are_json_and_one_an_answer(tmp_path):
    journal = Journal(tmp_path)
    journal.write(entry("a", text="two\nlines"))
    journal.write(entry("b"))
    lines = (tmp_path / FILE).read_text().splitlines()
    assert [json.loads(line)["key"] for line in lines] == ["a", "b"]
