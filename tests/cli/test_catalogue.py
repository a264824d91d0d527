"""`hf-select ls` and `hf-select show`."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import json
import pkgutil
import subprocess
import sys

import pytest

from hf_select.cli import ls
from hf_select.cli.catalogue import CLASSES, KINDS, entries, entry
from hf_select.cli.main import main
from hf_select.hub.replay import SAMPLERS, SCORERS
from hf_select.recipes import catalogue
from hf_select.recipes.recipe import Cost
from hf_select.sampling.sampler import Sampler
from hf_select.scoring.scorer import Scorer

OWN = {"adds", "_plan"}
"""What a scorer or sampler writes itself, and a base that several share doesn't."""


def classes():
    return [item for item in entries() if item.module]


@pytest.mark.parametrize("item", classes(), ids=lambda item: item.name)
def test_what_is_read_from_the_source_is_what_python_sees(item):
    cls = getattr(importlib.import_module(item.module), item.name)
    assert item.line == cls.__doc__.strip().split("\n")[0]
    names = {setting.split(":")[0] for setting in item.settings}
    assert names <= {field.name for field in dataclasses.fields(cls)}


def test_every_sampler_and_scorer_of_a_recipe_can_be_named_by_a_published_selection():
    assert set(SAMPLERS) == set(CLASSES["samplers"])
    assert set(SCORERS) >= set(CLASSES["embedders"]) | {"AnswerLoss", "AnswerLength", "TokenCount"}
    known = CLASSES["scorers"] | CLASSES["embedders"]
    for name, module in SAMPLERS.items():
        assert CLASSES["samplers"][name] == f"hf_select.sampling.{module}"
    for name, module in SCORERS.items():
        assert known.get(name, f"hf_select.{module}") == f"hf_select.{module}"


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
            c.__name__
            for c in classes
            if c.__module__.startswith(package.__name__) and not inspect.isabstract(c) and c.__dict__.keys() & OWN
        }
        todo += classes
    assert set(CLASSES[kind]) == found


def test_ls(capsys):
    assert main(["ls", "--format", "json"]) == 0
    assert [item["name"] for item in json.loads(capsys.readouterr().out)] == [item.name for item in entries()]
    assert main(["ls", "samplers", "--format", "quiet"]) == 0
    assert capsys.readouterr().out.split() == list(CLASSES["samplers"])
    assert main(["ls"]) == 0
    assert "scorers:\n  AnswerLength " in capsys.readouterr().out
    assert main(["ls", "sampler"]) == 2


def test_ls_recipes_tells_paper_needs_cost_and_result(capsys, tmp_path, monkeypatch):
    assert main(["ls", "recipes", "--format", "quiet"]) == 0
    assert capsys.readouterr().out.split() == list(catalogue.recipe_names())
    monkeypatch.setattr(ls, "measured", lambda: catalogue.measured(tmp_path / "none.json"))
    assert main(["ls", "recipes", "--format", "json"]) == 0
    told = {item["recipe"]: item for item in json.loads(capsys.readouterr().out)}
    assert {item["measured_text"] for item in told.values()} == {"not measured"}
    assert told["visnec"]["needs"]["forward_passes"] == 2 and told["visnec"]["needs"]["encoders"] == ["text"]
    assert not told["presel"]["needs"]["instructions"] and told["ifd"]["needs"]["instructions"]
    assert told["mllm_selector"]["cost"] == "1 forward pass a row, a fit on 5% of the pool"

    file = tmp_path / "measured.json"
    one = {"diff": 1.25, "low": 0.5, "high": 2.0, "budget": 0.15}
    file.write_text(json.dumps({"recipes": {"ifd": {"plain": one, "dirty": one | {"diff": -1}}}, "source": "x"}))
    monkeypatch.setattr(ls, "measured", lambda: catalogue.measured(file))
    assert main(["ls", "recipes"]) == 0
    paragraphs = capsys.readouterr().out.split("\n\n")
    ifd = next(text for text in paragraphs if text.startswith("ifd (IFD): "))
    assert "plain pool: +1.25 points to random (+0.50 to +2.00) at 15%; dirty pool: -1.00 points" in ifd
    assert "paper  IFD, arXiv 2308.12032" in ifd and "2 forward passes a row" in ifd and "no target data" in ifd


def test_needs_in_words():
    assert ls.needs(Cost(forwards=1, encoders=("dual",))).startswith("a vision-language model, an image-text encoder, ")
    assert ls.needs(Cost(instructions=False)) == "no instructions of rows that aren't chosen, no target data"


def test_help_and_lists_load_nothing_heavy():
    code = (
        "import sys\nfrom hf_select.cli.main import main\n"
        "for words in (['--help'], ['ls', 'recipes'], ['run', '--help'], ['run', 'dics', '--help']):\n"
        "    try:\n        main(words)\n    except SystemExit:\n        pass\n"
        "heavy = {'torch', 'transformers', 'datasets', 'faiss', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_a_recipe_is_shown_by_its_name_and_by_its_class(capsys):
    assert main(["show", "semdedup"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("SemDeDup (recipes)\n")
    assert text.endswith("from hf_select.recipes.semdedup import SemDeDup\n")
    assert main(["show", "SemDeDup"]) == 0
    assert capsys.readouterr().out == text
    assert (entry("presel").kind, entry("PreSel").kind) == ("suites", "recipes")


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
