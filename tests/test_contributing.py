"""The scorer of CONTRIBUTING.md, run as it stands there."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def scorer(tmp_path, monkeypatch):
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    path = tmp_path / "answer_words.py"
    path.write_text(re.search(r"```python\n(.*?)```", text, re.DOTALL)[1], encoding="utf-8")
    spec = importlib.util.spec_from_file_location("answer_words", path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "answer_words", module)
    spec.loader.exec_module(module)
    return module.AnswerWords


def pool():
    from datasets import Dataset

    def turns(answer):
        return [{"role": "user", "content": "How many?"}, {"role": "assistant", "content": answer}]

    return Dataset.from_dict({"messages": [turns("one two three"), turns("four"), []]})


def test_map_and_score_give_the_same_numbers(scorer):
    import hf_select

    mapped = pool().map(scorer(prefix="n_"), batched=True)
    assert mapped["n_answer_words"][:] == [3, 1, None]
    assert mapped.features["n_answer_words"].dtype == "int32"
    scored = hf_select.score(pool(), scorer())
    assert scored["answer_words"][:] == [3, 1, None]
    assert scored["row_status"][:2] == ["ok", "ok"]


def test_python_in_readme_parses():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert blocks
    for block in blocks:
        ast.parse(block)


def test_commands_in_readme_exist():
    from hf_select.cli.main import COMMANDS

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"hf-select (?!--)([a-z]+)", text))
    assert named and named <= set(COMMANDS)
