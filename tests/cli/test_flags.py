"""A dataclass of options as flags, a config file, or both."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from hf_select.cli.command import option
from hf_select.cli.flags import Parser, build, flags_of
from hf_select.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Options:
    pool: str = option(help="the pool", positional=True)
    out: Path | None = option(None, help="where to write")
    budget: str = option("15%", help="how much: 15% or rows")
    epochs: float = option(1.0, help="passes")
    seed: int = option(0, help="seed")
    dtype: str | None = option(None, help="number format", choices=("fp32", "bf16"))
    strict: bool = option(False, help="fail on problems")
    progress: bool = option(True, help="show progress")
    contexts: list[str] = option(["full"], help="contexts")
    sizes: tuple[int, ...] = option((), help="sizes")
    plain: int = 7


def parse(*argv: str, config: Path | None = None, options: type = Options):
    parser = Parser(prog="prog")
    for flag in flags_of(options):
        flag.add_to(parser)
    return build(options, vars(parser.known(argv)), config)


def write(folder: Path, text: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(text)
    return path


def test_defaults():
    assert parse("p") == Options(pool="p")


def test_every_type():
    argv = "p --out o --budget 2M --epochs 1e-1 --seed 3 --dtype bf16 --strict --no-progress --contexts a b"
    got = parse(*argv.split(), "--contexts", "c", "--sizes", "1", "2")
    assert got == Options(
        pool="p",
        out=Path("o"),
        budget="2M",
        epochs=0.1,
        seed=3,
        dtype="bf16",
        strict=True,
        progress=False,
        contexts=["a", "b", "c"],
        sizes=(1, 2),
    )


@pytest.mark.parametrize(
    "argv", [["--seed", "1", "p"], ["p", "--seed", "1"], ["--seed=1", "p"], ["--seed=1", "--", "p"]]
)
def test_a_positional_may_stand_anywhere(argv):
    assert parse(*argv) == Options(pool="p", seed=1)


def test_a_positional_list():
    @dataclass
    class Many:
        files: list[str] = option(help="files", positional=True)

    assert parse("a", "b", options=Many).files == ["a", "b"]
    with pytest.raises(UsageError, match="missing FILES"):
        parse(options=Many)


def test_flags_win_over_config_and_config_over_defaults(tmp_path):
    path = write(
        tmp_path, "pool: from-file\nseed: 5\nepochs: 2\nbudget: 1500\nstrict: true\ncontexts: [x, y]\nout: null\n"
    )
    got = parse("--seed", "6", config=path)
    assert got == Options(
        pool="from-file", seed=6, epochs=2.0, budget="1500", strict=True, contexts=["x", "y"], out=None
    )
    assert isinstance(got.epochs, float)


def test_an_explicit_flag_equal_to_the_default_still_wins(tmp_path):
    assert parse("p", "--seed", "0", config=write(tmp_path, "seed: 5")).seed == 0
    assert parse("p", "--no-strict", config=write(tmp_path, "strict: true")).strict is False


def test_what_yaml_reads_as_text_is_converted_like_a_flag(tmp_path):
    got = parse("p", config=write(tmp_path, "epochs: 1e-5\nsizes: 3\ncontexts: one\nout: a/b\n"))
    assert (got.epochs, got.sizes, got.contexts, got.out) == (1e-5, (3,), ["one"], Path("a/b"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("seed: 1.5", "'seed' must be a whole number, not '1.5'"),
        ("seed: true", "'seed' must be a whole number, not True"),
        ("seed: null", "'seed' must be a whole number, not None"),
        ("epochs: many", "'epochs' must be a number, not 'many'"),
        ("strict: 1", "'strict' must be true or false, not '1'"),
        ("strict: 'yes'", "'strict' must be true or false, not 'yes'"),
        ("budget: {a: 1}", "'budget' must be text"),
        ("contexts: [[a]]", "'contexts' must be text"),
        ("dtype: fp8", "'dtype' must be one of fp32, bf16, not 'fp8'"),
    ],
)
def test_a_config_value_of_the_wrong_type_is_named(tmp_path, text, words):
    with pytest.raises(UsageError, match=words):
        parse("p", config=write(tmp_path, text))


def test_yaml_may_not_change_a_text(tmp_path):
    text = "pool: 0123456\nbudget: 12:30\ncontexts: [007, 2024-01-02, yes, 'null', '']\nout: 1_0\n"
    got = parse(config=write(tmp_path, text))
    assert (got.pool, got.budget, got.out) == ("0123456", "12:30", Path("1_0"))
    assert got.contexts == ["007", "2024-01-02", "yes", "null", ""]


def test_a_positional_with_choices_may_be_left_out():
    @dataclass
    class Kind:
        kind: str | None = option(None, help="", positional=True, choices=("a", "b"))
        count: int = option(2, help="", positional=True)

    assert (parse(options=Kind).kind, parse("b", "3", options=Kind)) == (None, Kind("b", 3))
    with pytest.raises(UsageError, match="command line: 'kind' must be one of a, b, not 'c'"):
        parse("c", options=Kind)


def test_a_missing_required_option_is_named():
    with pytest.raises(UsageError, match="missing POOL"):
        parse("--seed", "1")


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["p", "--bugdet", "3"], "did you mean --budget"),
        (["p", "--see", "3"], "did you mean --seed"),
        (["p", "q"], "unrecognized argument 'q'"),
        (["p", "--seed", "x"], "invalid int value: 'x'"),
        (["p", "--dtype", "fp8"], "invalid choice: 'fp8'"),
        (["p", "--seed"], "expected one argument"),
    ],
)
def test_usage_errors_are_one_sentence(argv, words):
    with pytest.raises(UsageError, match=words) as caught:
        parse(*argv)
    assert "\n" not in str(caught.value)


def test_help_survives_percent_signs_and_shows_defaults():
    parser = Parser(prog="prog")
    for flag in flags_of(Options):
        flag.add_to(parser)
    text = " ".join(parser.format_help().split())
    assert "how much: 15% or rows (default: 15%)" in text
    assert "show progress (default: on)" in text
    assert "contexts (default: full)" in text
    assert "seed (default: 0)" in text and "fail on problems (default" not in text
    assert "where to write" in text and "(default: None)" not in text


def test_required_options_come_first_then_own_then_inherited():
    @dataclass(frozen=True, kw_only=True)
    class Base:
        split: str | None = option(None, help="")
        token: str = option(help="")

    @dataclass(frozen=True, kw_only=True)
    class Own(Base):
        seed: int = option(0, help="")
        source: str = option(help="", positional=True)
        out: Path = option(help="")

    assert [flag.name for flag in flags_of(Own)] == ["source", "out", "token", "seed", "split"]
    assert parse("here", "--out", "o", "--token", "t", options=Own) == Own(source="here", out=Path("o"), token="t")


def test_a_type_that_cannot_be_a_flag_is_a_programming_error():
    @dataclass
    class Bad:
        table: dict[str, int] = option(help="")

    with pytest.raises(TypeError, match="'table'"):
        flags_of(Bad)
