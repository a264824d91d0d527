"""The house's floors, its heavy imports and the size of its files, read from the source without running it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "hf_select"

GROUND = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
FLOORS = dict.fromkeys(GROUND, 0) | {
    "pool": 1,
    "sampling": 2,
    "scoring": 3,
    "embedding": 3,
    "training": 4,
    "annotate": 4,
    "report": 3,
    "hub": 4,
    "evaluation": 5,
    "recipes": 5,
    "demo": 6,
    "cli": 7,
}
"""A file imports only from its own floor or from one below."""

HEAVY = {"accelerate", "evaluate", "faiss", "lmms_eval", "matplotlib", "peft", "torch", "transformers"}
"""Imported inside functions only."""

NEVER_IN_SAMPLING = {"accelerate", "peft", "torch", "transformers"}
MOST_LINES = 400

SOURCES = sorted(PACKAGE.rglob("*.py"))
ALL_CODE = [
    path for folder in ("hf_select", "tests", "benchmarks", "eval") for path in sorted((ROOT / folder).rglob("*.py"))
]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(tree: ast.AST, *, everywhere: bool) -> Iterator[str]:
    """Full dotted names that `tree` imports; without `everywhere` only those that run when the module is imported."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "import by the full name, as every file here does"
            yield node.module
            if node.module == "hf_select":
                yield from (f"hf_select.{alias.name}" for alias in node.names)
        elif not everywhere and _runs_later(node):
            continue
        yield from imports(node, everywhere=everywhere)


def _runs_later(node: ast.AST) -> bool:
    if isinstance(node, ast.If):
        test = node.test
        return isinstance(test, ast.Name) and test.id == "TYPE_CHECKING"
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", [path for path in SOURCES if path.parent != PACKAGE], ids=name_of)
def test_a_file_imports_from_its_floor_or_below(path):
    part = path.relative_to(PACKAGE).parts[0]
    for name in imports(parse(path), everywhere=True):
        words = name.split(".")
        if words[0] != "hf_select" or len(words) == 1:
            continue
        assert words[1] in FLOORS, f"{name}: import from the module that defines it"
        assert FLOORS[words[1]] <= FLOORS[part], f"{part} is below {words[1]}"


def test_every_folder_has_a_floor():
    assert {path.relative_to(PACKAGE).parts[0] for path in SOURCES if path.parent != PACKAGE} | GROUND == set(FLOORS)


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("*.py")), ids=name_of)
def test_the_ground_imports_only_the_ground(path):
    inside = {name.split(".")[1] for name in imports(parse(path), everywhere=True) if name.startswith("hf_select.")}
    assert inside <= GROUND


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_heavy_packages_are_imported_inside_functions(path):
    top = {name.split(".")[0] for name in imports(parse(path), everywhere=False)}
    assert not top & HEAVY
    if path.is_relative_to(PACKAGE / "cli"):
        assert "datasets" not in top


@pytest.mark.parametrize("path", sorted((PACKAGE / "sampling").rglob("*.py")), ids=name_of)
def test_choosing_needs_no_torch(path):
    assert not {name.split(".")[0] for name in imports(parse(path), everywhere=True)} & NEVER_IN_SAMPLING


@pytest.mark.parametrize("path", ALL_CODE, ids=name_of)
def test_files_stay_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES
