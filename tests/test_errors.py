"""Known errors and the sentence about a missing extra."""

from __future__ import annotations

import sys

import pytest

from hf_select.errors import HFSelectError, MissingExtra, UnknownName, UsageError, require


def test_a_missing_extra_is_one_sentence_with_the_pip_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(MissingExtra) as caught:
        require("peft", "models")
    assert str(caught.value) == "peft is needed here and is not installed: run pip install 'hf_select[models]'."
    assert isinstance(caught.value, ImportError) and isinstance(caught.value, HFSelectError)


def test_require_returns_the_module():
    assert require("json.decoder", "models").JSONDecoder


def test_a_package_broken_inside_is_not_called_missing(tmp_path, monkeypatch):
    (tmp_path / "half_installed.py").write_text("import surely_not_installed")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="surely_not_installed") as caught:
        require("half_installed", "models")
    assert not isinstance(caught.value, HFSelectError)


def test_an_unknown_name_lists_what_is_allowed_and_suggests():
    error = UnknownName("sampler", "grouped_", ["top", "grouped"])
    assert str(error) == "unknown sampler 'grouped_'; allowed: grouped, top. Did you mean 'grouped'?"
    assert isinstance(error, UsageError) and isinstance(error, ValueError)
    assert "Did you mean" not in str(UnknownName("sampler", "zzz", ["top"]))
