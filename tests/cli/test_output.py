"""What a command writes, and what it must never write."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest

from hf_select.cli.output import Output, OutputClosed, scrub

TOKEN = "hf_" + "AbCdEfGhIjKlMnOpQrStUvWxYz01234567"


def written(form: str, **result) -> str:
    stream = io.StringIO()
    Output(form, stdout=stream).result(**result)
    return stream.getvalue()


def test_three_forms():
    result = {"human": "2 rows", "data": {"rows": 2}, "quiet": "runs/x"}
    assert written("human", **result) == "2 rows\n"
    assert json.loads(written("json", **result)) == {"rows": 2}
    assert written("quiet", **result) == "runs/x\n"
    assert written("quiet", human="x", data=1) == ""


def test_json_takes_numbers_of_numpy_paths_and_what_is_not_finite():
    data = {
        "a": np.float32(0.5),
        "b": np.int64(3),
        "c": float("nan"),
        "d": Path("x/y"),
        "e": (1, np.inf),
        "f": True,
        "g": "é",
        1: None,
    }
    text = written("json", human="", data=data)
    assert json.loads(text) == {"a": 0.5, "b": 3, "c": None, "d": "x/y", "e": [1, None], "f": True, "g": "é", "1": None}
    assert "é" in text
    with pytest.raises(TypeError, match="set can't be written as JSON"):
        written("json", human="", data={1})


def test_notes_go_to_stderr_and_are_silent_in_quiet_form():
    out, err = io.StringIO(), io.StringIO()
    Output("human", stdout=out, stderr=err).note("half way")
    Output("quiet", stdout=out, stderr=err).note("not shown")
    Output("quiet", stdout=out, stderr=err).problem("shown")
    assert (out.getvalue(), err.getvalue()) == ("", "half way\nshown\n")


@pytest.mark.parametrize(
    "text",
    [
        f"token={TOKEN}",
        f"authorization: Bearer {TOKEN}",
        "Authorization: Bearer abcdefghijkl",
        "https://user:abcdefghijkl@host/x",
        "api_org_" + "abcdefghijklmnopqrst",
    ],
)
def test_tokens_are_scrubbed(text):
    assert "***" in scrub(text)
    assert not {"AbCdEf", "abcdefgh"} & {scrub(text)[i : i + n] for n in (6, 8) for i in range(len(text))}


def test_the_token_of_the_environment_is_scrubbed_whatever_it_looks_like(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "secret-of-no-shape")
    assert scrub("got secret-of-no-shape") == "got ***"


def test_ordinary_names_stay():
    text = "hf_select hf_select_tests_abc hf://datasets/org/name@main a@b.c"
    assert scrub(text) == text


def test_data_is_scrubbed_too():
    assert TOKEN not in written("json", human="", data={"token": TOKEN})


HOSTILE = "a\x1b[2J\x9b31m\u202eb\r\n\tc"


@pytest.mark.parametrize("form", ["human", "quiet"])
def test_no_terminal_obeys_what_a_pool_says(form):
    text = written(form, human=HOSTILE, data=None, quiet=HOSTILE)
    assert text == "a?[2J?31m?b \n c\n"
    err = io.StringIO()
    Output(stderr=err).problem(HOSTILE)
    Output(stderr=err).note(HOSTILE)
    assert err.getvalue() == text * 2


def test_json_keeps_control_characters_as_escapes():
    text = written("json", human="", data={"name": HOSTILE + "\ud800é"})
    assert not {"\x1b", "\x9b", "\u202e", "\r", "\ud800"} & set(text)
    assert json.loads(text) == {"name": HOSTILE + "\ud800é"}


def test_a_terminal_without_utf8_gets_marks_instead_of_a_crash():
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    Output("human", stdout=stream).result(human="5 × 5 \ud800", data=None)
    assert stream.detach().getvalue() == b"5 ? 5 ?\n"


def test_a_reader_who_left_is_told_apart():
    class Gone(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    with pytest.raises(OutputClosed):
        Output("human", stdout=Gone()).result(human="x", data=None)
