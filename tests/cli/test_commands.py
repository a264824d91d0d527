"""Every command that `hf-select` lists."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import hf_select.cli
from hf_select.cli import main as cli


def every_command():
    return sorted(cli.COMMANDS)


@pytest.mark.parametrize("name", every_command())
def test_help_shows_examples_and_the_table_agrees(name, capsys):
    module, about = cli.COMMANDS[name]
    command = importlib.import_module(module).COMMAND
    assert (command.name, command.help) == (name, about)
    assert cli.main([name, "--help"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith(f"usage: hf-select {name}")
    assert command.examples[0].startswith(f"hf-select {name}")
    for example in command.examples:
        assert example in out
    for variant in command.variants:
        assert cli.main([name, variant, "--help"]) == 0
        assert capsys.readouterr().out.startswith(f"usage: hf-select {name} {variant}")


def test_every_command_module_is_listed():
    listed = {module for module, _ in cli.COMMANDS.values()}
    here = [f"hf_select.cli.{found.name}" for found in pkgutil.iter_modules(hf_select.cli.__path__)]
    assert {name for name in here if hasattr(importlib.import_module(name), "COMMAND")} == listed
