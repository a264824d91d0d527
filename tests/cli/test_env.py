"""`hf-select env`."""

from __future__ import annotations

import getpass
import json

import hf_select
from hf_select.cli.main import main


def test_versions_without_secrets(capsys, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "very-secret-value")
    assert main(["env", "--format", "json"]) == 0
    text = capsys.readouterr().out
    facts = json.loads(text)
    assert facts["hf_select"] == hf_select.__version__
    assert facts["datasets"]
    assert "very-secret-value" not in text
    assert f"/{getpass.getuser()}" not in text
    assert main(["env", "--format", "quiet"]) == 0
    assert capsys.readouterr().out == f"{hf_select.__version__}\n"
