"""`hf-select ls` and `hf-select show`."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import json
import pkgutil

import pytest

from hf_select.cli.catalogue import CLASSES, KINDS, entries, entry
from hf_select.cli.main import main
from hf_select.sampling.sampler import Sampler
from hf_select.scoring.scorer import Scorer


def classes():
    return [item for item in entries() if item.module]


@pytest.mark.parametrize("item", classes(), ids=lambda item: item.name)
def test_what_is_read_from_the_source_is_what_python_sees(item):
    cls = getattr(importlib.import_module(item.module), item.name)
    assert item.line == cls.__doc__.strip().split("\n")[0]
    names = {setting.split(":")[0] for setting in item.settings}
    assert names <= {field.name for field in dataclasses.fields(cls)}


def test_every_kind_has_something_and_names_are_unique():
    assert {item.kind for item in entries()} == set(KINDS)
    names = [item.name for item in entries()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("kind", "folder", "base"),
    [("scorers", "scoring", Scorer), ("embedders", "embedding", Scorer), ("samplers", "sampling", Sampler)],
)
def test_nothing_is_missing(kind, folder, base):
    package = importlib.import_module(f"hf_select.{folder}")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    found, todo = set(), [base]
    while todo:
        classes = todo.pop().__subclasses__()
        found |= {
            c.__name__ for c in classes if c.__module__.startswith(package.__name__) and not inspect.isabstract(c)
        }
        todo += classes
    assert set(CLASSES[kind]) == found


def test_ls(capsys):
    assert main(["ls", "--format", "json"]) == 0
    assert [item["name"] for item in json.loads(capsys.readouterr().out)] == [item.name for item in entries()]
    assert main(["ls", "samplers", "--format", "quiet"]) == 0
    assert capsys.readouterr().out.split() == list(CLASSES["samplers"])
    assert main(["ls"]) == 0
    assert "scorers:\n  AnswerLoss " in capsys.readouterr().out
    assert main(["ls", "sampler"]) == 2


def test_show(capsys):
    assert main(["show", "AnswerLoss"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("AnswerLoss (scorers)\n")
    assert entry("AnswerLoss").text in text
    assert "  model: str\n" in text
    assert text.endswith("from hf_select.scoring.answer_loss import AnswerLoss\n")
    assert main(["show", "AnswerLos"]) == 2
    assert "Did you mean 'AnswerLoss'?" in capsys.readouterr().err


def test_show_a_suite(capsys):
    suite = entries("suites")[0]
    assert main(["show", suite.name, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["text"] == suite.text
    assert suite.line
