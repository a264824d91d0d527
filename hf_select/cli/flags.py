"""A dataclass of options becomes flags, and flags plus a config file become an instance of it."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import inspect
import types
import typing
from collections.abc import Sequence
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Any, NoReturn

from hf_select.cli.config import read_config
from hf_select.errors import UsageError

_SCALARS: dict[type, str] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    Path: "a path",
}


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
        if self.positional:
            # No type and no choices: argparse would hold its own SUPPRESS mark against them.
            parser.add_argument(self.name, nargs="*" if self.many else "?", metavar=self.label, **settings)
            return
        settings |= {"type": self.scalar, "choices": meta.get("choices"), "metavar": meta.get("metavar")}
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
        # A default of 0 is worth saying, and equals False.
        if default not in (MISSING, None, "") and default is not False:
            text += f" (default: {'on' if default is True else default})"
        return text.replace("%", "%%").strip()

    def convert(self, value: Any, source: str) -> Any:
        """Turn a value that argparse has not seen into the field's type.

        Args:
            value: A text, bool, None or list of texts.
            source: Where it comes from, for the message.

        Raises:
            UsageError: It can't be one, or isn't among the choices.
        """
        if value is None and self.optional:
            return None
        if self.many:
            return [self._convert_one(item, source) for item in (value if isinstance(value, list) else [value])]
        return self._convert_one(value, source)

    def _convert_one(self, value: Any, source: str) -> Any:
        choices = self.field.metadata.get("choices")
        wanted = f"one of {', '.join(choices)}" if choices else _SCALARS[self.scalar]
        problem = UsageError(f"{source}: {self.name!r} must be {wanted}, not {value!r}.")
        if not isinstance(value, bool if self.scalar is bool else str):
            raise problem
        try:
            converted = self.scalar(value)
        except ValueError:
            raise problem from None
        if choices and converted not in choices:
            raise problem
        return converted


def flags_of(options: type) -> list[Flag]:
    """Take the fields of an options class apart, in the order of `--help`.

    Required ones come first, then those that the class itself declares, then those of its bases, the nearest first (a
    dataclass has its bases' fields first, and these are the less particular).

    Raises:
        TypeError: A type that can't be a flag.
    """
    hints = typing.get_type_hints(options)
    declared = [inspect.get_annotations(kind) for kind in options.__mro__]
    nearest = {name: depth for depth, names in reversed(list(enumerate(declared))) for name in names}
    flags = [_flag(f, hints[f.name]) for f in dataclasses.fields(options) if f.init]
    return sorted(flags, key=lambda flag: (not flag.required, nearest[flag.name]))


def _flag(field: dataclasses.Field, hint: Any) -> Flag:
    optional = False
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        members = [member for member in typing.get_args(hint) if member is not types.NoneType]
        optional = len(members) < len(typing.get_args(hint))
        hint = members[0] if len(members) == 1 else None
    many = typing.get_origin(hint) if typing.get_origin(hint) in (list, tuple) else None
    if many:
        hint = typing.get_args(hint)[0]
    if hint not in _SCALARS or (many and hint is bool):
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
        merged = {
            name: flags[name].convert(value, str(config)) for name, value in read_config(config, list(flags)).items()
        }
    for name, value in values.items():
        merged[name] = flags[name].convert(value, "command line") if flags[name].positional else value
    missing = [flag.label for flag in flags.values() if flag.required and flag.name not in merged]
    if missing:
        raise UsageError(f"missing {', '.join(missing)}: give it on the command line or in the --config file.")
    for name, flag in flags.items():
        if flag.many is tuple and merged.get(name) is not None:
            merged[name] = tuple(merged[name])
    return options(**merged)
