"""The `hf-select` command: finds the subcommand, reads its options, runs it, and turns errors into exit codes.

Exit codes: 0 done, 1 failed, 2 usage, 3 a check did not hold, 130 interrupted.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from hf_select._version import __version__
from hf_select.cli.command import Command
from hf_select.cli.flags import Parser, build, flags_of
from hf_select.cli.output import FORMATS, Output, OutputClosed, scrub
from hf_select.cli.problems import known_problem
from hf_select.errors import UnknownName
from hf_select.text import plain_lines

COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("hf_select.cli.demo", "See both methods at work on a drawn pool: no network, no GPU, a few minutes."),
    "check": (
        "hf_select.cli.check",
        "Look at a pool: rows per task, schema, images, duplicates, rows that can't be used.",
    ),
    "score": (
        "hf_select.cli.score",
        "Score every row of a pool: the loss of its answer under a model, in one or more contexts.",
    ),
    "bench": ("hf_select.cli.bench", "Measure rows a second on a sample, and project the time for a whole pool."),
    "select": ("hf_select.cli.select", "Choose rows of a scored pool within a budget."),
    "run": ("hf_select.cli.run", "Run a recipe from a pool to a chosen subset, in stages that resume."),
    "annotate": ("hf_select.cli.annotate", "Have instructions written for the pictures of a selection."),
    "eval": (
        "hf_select.cli.eval",
        "Measure models on benchmarks, by lmms-eval's own tasks, and compare them document by document.",
    ),
    "study": ("hf_select.cli.study", "Compare recipes with random on pools of your own, with intervals."),
    "overlap": (
        "hf_select.cli.overlap",
        "Find the rows of a pool whose pictures or questions are those of benchmarks.",
    ),
    "publish": (
        "hf_select.cli.publish",
        "Publish a run's subset to the Hub, in one commit, with a card that proves it.",
    ),
    "scores": ("hf_select.cli.scores", "Share a scored pool's columns on the Hub, or take somebody's."),
    "diff": ("hf_select.cli.diff", "Compare two selections: what both have, what changed by group, and why."),
    "status": ("hf_select.cli.status", "Show where a run stands: its stages, their times and results."),
    "ls": ("hf_select.cli.ls", "List scorers, samplers, recipes and suites."),
    "show": ("hf_select.cli.show", "Explain one scorer, sampler, recipe or suite."),
    "env": ("hf_select.cli.env", "Print versions and machine, for a bug report."),
}
"""Name -> (module, one line). The module is imported only when its command is used."""

LOG_LEVELS = ("debug", "info", "warning", "error")


def main(argv: Sequence[str] | None = None) -> int:
    """Run `hf-select` with `argv` (default: the process's arguments) and return the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    sys.excepthook = _scrubbed_traceback
    try:
        code = _dispatch(arguments)
        sys.stdout.flush()
        return code
    except (OutputClosed, BrokenPipeError):
        # The interpreter flushes stdout once more on its way out and must not find the broken pipe there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        Output().problem("hf-select: interrupted")
        return 130
    except Exception as error:
        problem = known_problem(error)
        if problem is None:
            raise
        sentence, code = problem
        if os.environ.get("HF_DEBUG", "").lower() in ("1", "true", "yes", "on"):
            Output().problem("".join(traceback.format_exception(error)))
        Output().problem(f"hf-select: {sentence}")
        return code


def _dispatch(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help", "help"):
        Output().result(human=_overview(), data=None)
        return 0 if argv else 2
    if argv[0] in ("-V", "--version"):
        Output().result(human=f"hf-select {__version__}", data=None)
        return 0
    name, rest = argv[0], argv[1:]
    if name not in COMMANDS:
        raise UnknownName("command", name, COMMANDS)
    command: Command = importlib.import_module(COMMANDS[name][0]).COMMAND
    prog = f"hf-select {name}"
    options, about = command.options, command.help
    if command.variants:
        if not rest or rest[0] in ("-h", "--help"):
            Output().result(human=_variants_help(command), data=None)
            return 0 if rest else 2
        if command.url_variant is not None and "://" in rest[0]:
            rest = [command.url_variant, *rest]
        variant, rest = rest[0], rest[1:]
        if variant not in command.variants:
            raise UnknownName(command.variant_metavar.lower(), variant, command.variants)
        prog += f" {variant}"
        about, options = command.variants[variant]
    return _run(command, prog, about, options, rest)


def _run(command: Command, prog: str, about: str, options: Any, argv: list[str]) -> int:
    parser = command_parser(command, prog, about, options)
    try:
        values = vars(parser.known(argv))
    except SystemExit:  # --help was printed
        return 0
    config = values.pop("config")
    out = Output(values.pop("format"), dry_run=values.pop("dry_run", False))
    level = values.pop("log_level")
    built = build(options, values, config)
    with _logging(level, out):
        return command.run(built, out) or 0


def command_parser(command: Command, prog: str, about: str, options: type) -> Parser:
    """Return the parser of one command, or of one of its variants: its own options, then the common flags."""
    flags = flags_of(options)
    words = [flag.label if flag.required else f"[{flag.label}]" for flag in flags if flag.positional]
    examples = "\n".join(f"  {line}" for line in command.examples)
    parser = Parser(
        prog=prog,
        usage=" ".join([prog, *words, "[options]"]),
        description=about,
        epilog=f"examples:\n{examples}" if examples else None,
    )
    for flag in flags:
        flag.add_to(parser)
    common = parser.add_argument_group("common options")
    common.add_argument("--config", type=Path, metavar="FILE", help="YAML file with values for the options; flags win")
    common.add_argument("--format", choices=FORMATS, default="human", help="form of stdout (default: human)")
    common.add_argument("--log-level", choices=LOG_LEVELS, default="warning", help="stderr log (default: warning)")
    if command.writes:
        common.add_argument("--dry-run", action="store_true", help="say what would be done and change nothing")
    return parser


def _overview() -> str:
    about = "Choose the rows of a visual-instruction-tuning pool that are worth training on."
    commands = [f"  {name:<8} {text}" for name, (_, text) in COMMANDS.items()]
    more = "`hf-select COMMAND --help` shows options and examples; `hf-select --version` prints the version."
    return "\n".join(["usage: hf-select COMMAND [options]", "", about, "", "commands:", *commands, "", more])


def _variants_help(command: Command) -> str:
    lines = [f"usage: hf-select {command.name} {command.variant_metavar} [options]", "", command.help, ""]
    width = max(map(len, command.variants))
    lines += [f"{command.variant_metavar} is one of:"]
    lines += [f"  {name:<{width}}  {about}" for name, (about, _) in command.variants.items()]
    lines += ["", f"`hf-select {command.name} {command.variant_metavar} --help` shows its options."]
    if command.examples:
        lines += ["", "examples:", *(f"  {line}" for line in command.examples)]
    return "\n".join(lines)


@contextmanager
def _logging(level: str, out: Output) -> Iterator[None]:
    class ToOutput(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            out.problem(self.format(record))

    logger = logging.getLogger("hf_select")
    handler = ToOutput()
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(level.upper())
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


def _scrubbed_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    sys.stderr.write(scrub(plain_lines("".join(traceback.format_exception(kind, error, trace)))))


if __name__ == "__main__":
    sys.exit(main())
