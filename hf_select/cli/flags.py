"""A dataclass of options becomes flags, and flags plus a config file become an instance of it."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import types
import typing
from collections.abc import Sequence
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Any, NoReturn

from hf_select.cli.config import read_config
from hf_select.errors import UsageError

_SCALARS: dict[type, str] = {str: "text", int: "a whole number", float: "a number", Path: "a path"}


class Parser(argparse.ArgumentParser):
    """argparse with two changes: errors are `UsageError`, and flags can't be abbreviated."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **settings)

    def error(self, message: str) -> NoReturn:
        """Raise the one sentence; argparse would print the whole usage."""
        raise UsageError(f"{message} (see {self.prog} --help).")

    def known(self, argv: Sequence[str]) -> argparse.Namespace:
        """Parse all of `argv`; for an unknown flag suggest the nearest."""
        values, rest = self.parse_known_args(argv)
        if rest:
            given = rest[0].split("=")[0]
            near = difflib.get_close_matches(given, list(self._option_string_actions), n=1)
            hint = f": did you mean {near[0]}?" if near else ""
            self.error(f"unrecognized argument {rest[0]!r}{hint}")
        return values


@dataclass(frozen=True)
class Flag:
    """One field of an options class, with its type taken apart."""

    field: dataclasses.Field
    scalar: type
    many: type | None
    optional: bool

    @property
    def name(self) -> str:
        """The field's name."""
        return self.field.name

    @property
    def positional(self) -> bool:
        """Whether it is given without dashes."""
        return bool(self.field.metadata.get("positional"))

    @property
    def label(self) -> str:
        """How people write it: POOL or --budget."""
        if self.positional:
            return self.field.metadata.get("metavar") or self.name.upper()
        return "--" + self.name.replace("_", "-")

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return self.field.default is MISSING and self.field.default_factory is MISSING

    def add_to(self, parser: argparse.ArgumentParser) -> None:
        """Add it to a parser, without default: what was not typed must stay unset so that a config file can set it."""
        meta = self.field.metadata
        settings: dict[str, Any] = {"help": self._help(), "default": argparse.SUPPRESS}
        if self.scalar is bool:
            parser.add_argument(self.label, dest=self.name, action=argparse.BooleanOptionalAction, **settings)
            return
        settings |= {"type": self.scalar, "choices": meta.get("choices"), "metavar": meta.get("metavar")}
        if self.positional:
            settings["metavar"] = self.label
            parser.add_argument(self.name, nargs="*" if self.many else "?", **settings)
            return
        if self.many:
            settings |= {"nargs": "+", "action": "extend"}
        parser.add_argument(self.label, dest=self.name, **settings)

    def _help(self) -> str:
        text = self.field.metadata.get("help", "")
        default = self.field.default
        if self.required:
            text += "" if self.positional else " (required)"
        elif self.field.default_factory is not MISSING:
            default = self.field.default_factory()
        if isinstance(default, list | tuple):
            default = " ".join(map(str, default))
        if default not in (MISSING, None, "", False):
            text += f" (default: {'on' if default is True else default})"
        return text.replace("%", "%%").strip()

    def from_config(self, value: Any, path: Path) -> Any:
        """Turn a value of a YAML file into the field's type, or raise `UsageError`."""
        if value is None and self.optional:
            return None
        if self.many:
            items = value if isinstance(value, list) else [value]
            return [self._scalar_from_config(item, path) for item in items]
        return self._scalar_from_config(value, path)

    def _scalar_from_config(self, value: Any, path: Path) -> Any:
        wanted = "true or false" if self.scalar is bool else _SCALARS.get(self.scalar, "")
        if isinstance(value, bool) != (self.scalar is bool) or not isinstance(value, str | int | float):
            raise UsageError(f"{path}: {self.name!r} must be {wanted}, not {value!r}.")
        choices = self.field.metadata.get("choices")
        if self.scalar is not bool:
            if self.scalar is int and isinstance(value, float):
                raise UsageError(f"{path}: {self.name!r} must be {wanted}, not {value!r}.")
            try:
                # YAML reads 1e-5 as a text and 1500 as a number: both go through the converter that flags use.
                value = self.scalar(str(value))
            except ValueError as error:
                raise UsageError(f"{path}: {self.name!r} must be {wanted}, not {value!r}.") from error
        if choices and value not in choices:
            raise UsageError(f"{path}: {self.name!r} must be one of {', '.join(choices)}, not {value!r}.")
        return value


def flags_of(options: type) -> list[Flag]:
    """Take the fields of an options class apart, or raise `TypeError` for a type that can't be a flag."""
    hints = typing.get_type_hints(options)
    return [_flag(f, hints[f.name]) for f in dataclasses.fields(options) if f.init]


def _flag(field: dataclasses.Field, hint: Any) -> Flag:
    optional = False
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        members = [member for member in typing.get_args(hint) if member is not types.NoneType]
        optional = len(members) < len(typing.get_args(hint))
        hint = members[0] if len(members) == 1 else None
    many = typing.get_origin(hint) if typing.get_origin(hint) in (list, tuple) else None
    if many:
        hint = typing.get_args(hint)[0]
    if hint not in _SCALARS and (hint is not bool or many):
        raise TypeError(f"option {field.name!r} has a type that can't be a flag; see hf_select.cli.command.option")
    return Flag(field, hint, many, optional)


def build(options: type, values: dict[str, Any], config: Path | None) -> Any:
    """Make an instance of `options`: a flag wins over the config file, which wins over the default.

    Args:
        options: The dataclass.
        values: What was typed, by field name.
        config: The YAML file, or None.

    Raises:
        UsageError: A config value of the wrong type, an unknown config key, or a required option that nobody gave.
    """
    flags = {flag.name: flag for flag in flags_of(options)}
    merged: dict[str, Any] = {}
    if config is not None:
        raw = read_config(config, list(flags))
        merged = {name: flags[name].from_config(value, config) for name, value in raw.items()}
    merged |= values
    missing = [flag.label for flag in flags.values() if flag.required and flag.name not in merged]
    if missing:
        raise UsageError(f"missing {', '.join(missing)}: give it on the command line or in the --config file.")
    for name, flag in flags.items():
        if flag.many is tuple and merged.get(name) is not None:
            merged[name] = tuple(merged[name])
    return options(**merged)
