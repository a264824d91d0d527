"""Known errors: each is one sentence that says what was given, what is allowed and what to do."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable
from types import ModuleType


class HFSelectError(Exception):
    """A known failure; the command line prints its sentence and exits with `exit_code`."""

    exit_code = 1


class UsageError(HFSelectError, ValueError):
    """Arguments, a config file or an input of a shape that hf_select can't use."""

    exit_code = 2


class CheckFailed(HFSelectError):
    """Everything ran, but a check that was asked for did not hold."""

    exit_code = 3


class UnknownName(UsageError):
    """A name that isn't one of the allowed ones; the nearest is suggested."""

    def __init__(self, what: str, given: str, allowed: Iterable[str]) -> None:
        names = sorted(allowed)
        near = difflib.get_close_matches(given, names, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        super().__init__(f"unknown {what} {given!r}; allowed: {', '.join(names)}.{hint}")


class MissingExtra(HFSelectError, ImportError):
    """An optional package is needed and isn't installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is needed here and is not installed: run pip install 'hf_select[{extra}]'.")


def require(package: str, extra: str) -> ModuleType:
    """Import `package`, or raise `MissingExtra` naming the pip line of `extra`."""
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] != package.split(".")[0]:
            raise
        raise MissingExtra(package, extra) from error
