"""The command line as a whole: dispatch, exit codes, where words go, errors."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from dataclasses import dataclass
from types import ModuleType

import pytest

import hf_select
from hf_select.cli import main as cli
from hf_select.cli.command import Command, option
from hf_select.errors import CheckFailed, HFSelectError

TOKEN = "hf_" + "AbCdEfGhIjKlMnOpQrStUvWxYz01234567"


@dataclass(frozen=True, kw_only=True)
class Options:
    what: str = option("nothing", help="what to do", positional=True)
    rows: int = option(3, help="how many")


@dataclass(frozen=True, kw_only=True)
class Paper:
    temperature: float = option(1.0, help="T")


def act(options, out):
    failures = {
        "fail": HFSelectError(f"it failed with {TOKEN}."),
        "check": CheckFailed("a check did not hold."),
        "stop": KeyboardInterrupt(),
        "bug": ZeroDivisionError(f"division by {TOKEN}"),
        "gone": FileNotFoundError(2, "No such file or directory", "pool.json"),
    }
    if options.what in failures:
        raise failures[options.what]
    if options.what == "three":
        return 3
    logging.getLogger("hf_select.toy").info("deep inside with %s", TOKEN)
    out.note("working")
    out.result(human=f"{options.rows} rows", data={"rows": options.rows, "dry": out.dry_run}, quiet=str(options.rows))


def recipe(options, out):
    out.result(human=f"T={options.temperature}", data={"kind": type(options).__name__})
    return 0


@pytest.fixture(autouse=True)
def toy(monkeypatch):
    module = ModuleType("toy_command")
    module.COMMAND = Command("toy", "a toy", Options, act, examples=("hf-select toy x",), writes=True)
    recipes = ModuleType("toy_recipes")
    variants = {"paper": ("as published", Paper)}
    recipes.COMMAND = Command("cook", "recipes", None, recipe, variants=variants, variant_metavar="RECIPE")
    monkeypatch.setitem(sys.modules, "toy_command", module)
    monkeypatch.setitem(sys.modules, "toy_recipes", recipes)
    monkeypatch.setitem(cli.COMMANDS, "toy", ("toy_command", "a toy"))
    monkeypatch.setitem(cli.COMMANDS, "cook", ("toy_recipes", "recipes"))
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)


def test_human_json_quiet(capsys):
    assert cli.main(["toy"]) == 0
    assert capsys.readouterr() == ("3 rows\n", "working\n")
    assert cli.main(["toy", "--format", "json", "--rows", "4", "--dry-run"]) == 0
    assert json.loads(capsys.readouterr().out) == {"rows": 4, "dry": True}
    assert cli.main(["toy", "--format=quiet"]) == 0
    assert capsys.readouterr() == ("3\n", "")


@pytest.mark.parametrize("form", [["--config", "{}"], ["--config={}"]])
def test_config_in_both_spellings(tmp_path, capsys, form):
    path = tmp_path / "c.yaml"
    path.write_text("rows: 9\n")
    assert cli.main(["toy", *(part.format(path) for part in form)]) == 0
    assert capsys.readouterr().out == "9 rows\n"
    assert cli.main(["toy", "--rows", "1", *(part.format(path) for part in form)]) == 0
    assert capsys.readouterr().out == "1 rows\n"


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["toy", "fail"], 1, "hf-select: it failed with hf_***."),
        (["toy", "gone"], 1, "hf-select: there is no file or folder 'pool.json'."),
        (["toy", "check"], 3, "hf-select: a check did not hold."),
        (["toy", "three"], 3, ""),
        (["toy", "stop"], 130, "hf-select: interrupted"),
        (["toy", "--rows", "many"], 2, "invalid int value: 'many' (see hf-select toy --help)."),
        (["toy", "--rowz", "4"], 2, "did you mean --rows?"),
        (["toi"], 2, "Did you mean 'toy'?"),
        (["cook", "papr"], 2, "unknown recipe 'papr'; allowed: paper. Did you mean 'paper'?"),
        (["cook", "paper", "--temprature", "2"], 2, "did you mean --temperature?"),
        (["toy", "--config", "absent.yaml"], 2, "absent.yaml"),
    ],
)
def test_exit_codes_and_sentences(capsys, argv, code, words):
    assert cli.main(argv) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert err.count("\n") <= 1 and TOKEN not in err


def test_debug_shows_the_traceback(capsys, monkeypatch):
    monkeypatch.setenv("HF_DEBUG", "1")
    assert cli.main(["toy", "fail"]) == 1
    err = capsys.readouterr().err
    assert "Traceback" in err and err.endswith("hf-select: it failed with hf_***.\n") and TOKEN not in err


def test_a_bug_is_not_hidden_but_its_token_is(capsys):
    with pytest.raises(ZeroDivisionError) as caught:
        cli.main(["toy", "bug"])
    sys.excepthook(caught.type, caught.value, caught.tb)
    err = capsys.readouterr().err
    assert "Traceback" in err and "ZeroDivisionError: division by hf_***" in err and TOKEN not in err


def test_log_level(capsys):
    cli.main(["toy", "--log-level", "info"])
    assert "INFO hf_select.toy: deep inside with hf_***\n" in capsys.readouterr().err
    cli.main(["toy"])
    assert "deep inside" not in capsys.readouterr().err
    assert logging.getLogger("hf_select").handlers == []


def test_variants(capsys):
    assert cli.main(["cook", "paper", "--temperature", "0.5", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"kind": "Paper"}
    assert cli.main(["cook", "--help"]) == 0
    assert "  paper  as published" in capsys.readouterr().out
    assert cli.main(["cook"]) == 2
    assert cli.main(["cook", "paper", "--help"]) == 0
    assert "--temperature" in capsys.readouterr().out


def test_version_and_overview(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"hf-select {hf_select.__version__}\n"
    assert cli.main([]) == 2
    assert cli.main(["--help"]) == 0
    assert "  toy      a toy\n" in capsys.readouterr().out


def test_a_reader_who_leaves_early_is_no_crash():
    script = "import sys; from hf_select.cli.main import main; sys.exit(main(['--help']))"
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-c", script], stdout=writing, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")
