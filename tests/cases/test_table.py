"""The table of `README.md`: every test that it names is there, and no case of the shared folder is missing from it."""

import ast
import functools
import json
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
SHARED = TESTS.parent.parent / "shared" / "cases"
ROW = re.compile(r"^\| ([A-Z]{3}-\d\d) \| ([^|]+) \| ([^|]+) \|$")
NAMED = re.compile(r"`([^`]+\.py)::(test_\w+)`")


def table():
    """Case id -> what its row says of tests."""
    found = [
        row.groups() for line in (TESTS / "cases" / "README.md").read_text().splitlines() if (row := ROW.match(line))
    ]
    assert len({case for case, _, _ in found}) == len(found), "a case has two rows"
    return {case: tests for case, _, tests in found}


@functools.cache
def written(file):
    """The tests of a file by name, with their text, decorators included."""
    text = (TESTS / file).read_text()
    lines, found = text.splitlines(), {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            first = min(part.lineno for part in (node, *node.decorator_list))
            found[node.name] = "\n".join(lines[first - 1 : node.end_lineno])
    return found


@pytest.mark.parametrize("case", table())
def test_every_test_of_the_table_exists_and_names_its_case(case):
    named = NAMED.findall(table()[case])
    assert named, f"{case} names no test"
    for file, test in named:
        assert test in written(file), f"{file} has no {test}"
    said = [test + written(file)[test] for file, test in named]
    assert any(re.search(case.replace("-", "[-_]"), text, re.IGNORECASE) for text in said), f"no test says {case}"


def test_every_shared_case_is_in_the_table():
    if not SHARED.is_dir():
        pytest.skip("the shared folder with the cases lies beside some checkouts only")
    files = sorted(SHARED.glob("*.jsonl"))
    ids = {json.loads(line)["id"] for file in files for line in file.read_text().splitlines() if line.strip()}
    assert ids and not ids - table().keys()
