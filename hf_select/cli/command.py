"""What a command module writes: a dataclass of options, a `run` function and one `COMMAND`.

```python
@dataclass(frozen=True, kw_only=True)
class Options:
    pool: str = option(help="Hub id, file or folder", positional=True)
    strict: bool = option(False, help="exit with 3 if something is wrong")


def run(options: Options, out: Output) -> int:
    from hf_select.pool.check import check_pool  # heavy imports here, so that --help stays quick
    ...


COMMAND = Command("check", "look at a pool before scoring it", Options, run, examples=("hf-select check org/pool",))
```
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field
from typing import Any

from hf_select.cli.output import Output

COMMON_FLAGS = ("config", "format", "log_level", "dry_run")
"""Flags every command has (`--dry-run` only where it writes); an options class can't have fields of these names."""


def option(
    default: Any = MISSING,
    *,
    help: str,  # noqa: A002 - the word people know from argparse
    positional: bool = False,
    choices: Sequence[str] | None = None,
    metavar: str | None = None,
) -> Any:
    """Declare a field of an options dataclass.

    Its type may be str, int, float, bool, Path, a `list[...]` or `tuple[..., ...]` of str, int, float or Path, or any
    of these `| None`. `some_name: int` is the flag `--some-name`, a bool is `--x/--no-x`, and a list flag takes one or
    more values and may be repeated.

    Args:
        default: Value without flag and config key; without it the option is required.
        help: One line for `--help`; a `%` needs no escape.
        positional: An argument without dashes.
        choices: The allowed values.
        metavar: What `--help` shows for the value; the field's name in capitals by default.
    """
    metadata = {"help": help, "positional": positional, "choices": choices, "metavar": metavar}
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Command:
    """One subcommand of `hf-select`.

    Attributes:
        name: The word typed after `hf-select`.
        help: One line.
        options: The dataclass of its options; None where `variants` hold them.
        run: Called with an instance of `options` and the `Output`; returns the exit code, None meaning 0.
        examples: Complete command lines for `--help`.
        writes: Whether it changes files or a repository: adds `--dry-run`, which `run` reads as `out.dry_run`.
        variants: Name -> (one-line help, options class) for `hf-select run NAME --flags`; `run` gets an instance of
            that variant's class.
        url_variant: The variant that a URL in the place of a variant's name is given to, as its first argument.
        variant_metavar: What the variant's name is called in `--help` and in errors ("RECIPE").
    """

    name: str
    help: str
    options: type | None
    run: Callable[[Any, Output], int | None]
    examples: tuple[str, ...] = ()
    writes: bool = False
    variants: Mapping[str, tuple[str, type]] = dataclasses.field(default_factory=dict)
    variant_metavar: str = "VARIANT"
    url_variant: str | None = None

    def __post_init__(self) -> None:
        if (self.options is None) == (not self.variants):
            raise TypeError(f"command {self.name!r} needs an options class or variants, and not both")
        for options in (self.options, *(options for _, options in self.variants.values())):
            if options is None:
                continue
            taken = {f.name for f in dataclasses.fields(options)} & set(COMMON_FLAGS)
            if taken:
                raise TypeError(
                    f"{options.__qualname__} can't define {sorted(taken)}: these are flags of every command"
                )
