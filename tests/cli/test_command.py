"""The contract of a command module."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from hf_select.cli.command import Command, option


@dataclass(frozen=True)
class Options:
    name: list[str] = option(["a"], help="names")


def test_a_list_default_is_not_shared():
    Options().name.append("b")
    assert Options().name == ["a"]


def test_a_command_has_options_or_variants():
    with pytest.raises(TypeError, match="options class or variants"):
        Command("x", "help", None, print)
    with pytest.raises(TypeError, match="not both"):
        Command("x", "help", Options, print, variants={"one": ("help", Options)})


def test_a_field_may_not_take_a_common_flag():
    @dataclass
    class Taken:
        dry_run: bool = option(False, help="")

    with pytest.raises(TypeError, match="dry_run"):
        Command("x", "help", Taken, print)
