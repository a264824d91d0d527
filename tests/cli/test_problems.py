"""Which errors become one sentence."""

from __future__ import annotations

import errno
import sys

import pytest

from hf_select.cli.problems import known_problem
from hf_select.errors import CheckFailed, HFSelectError, MissingExtra, UsageError


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (HFSelectError("it failed."), 1),
        (UsageError("not like this."), 2),
        (CheckFailed("does not hold."), 3),
        (MissingExtra("torch", "models"), 1),
    ],
)
def test_own_errors_carry_their_exit_code(error, code):
    assert known_problem(error) == (str(error), code)


def test_hub_errors_say_what_to_do():
    from huggingface_hub.errors import LocalTokenNotFoundError, OfflineModeIsEnabled

    sentence, code = known_problem(
        OfflineModeIsEnabled("Cannot reach the Hub: offline mode is enabled.\n\nLong story.")
    )
    assert sentence == ("Cannot reach the Hub: offline mode is enabled. Unset HF_HUB_OFFLINE, or give a local folder.")
    assert code == 1
    assert "hf auth login" in known_problem(LocalTokenNotFoundError("no token"))[0]


def test_a_subclass_of_a_known_error_is_known():
    from datasets.exceptions import DatasetNotFoundError

    assert "org/name" in known_problem(DatasetNotFoundError("Dataset 'x/y' doesn't exist on the Hub."))[0]


def test_a_hub_error_wrapped_by_datasets_says_what_to_do():
    from datasets import load_dataset

    with pytest.raises(ConnectionError) as caught:
        load_dataset("org/absent")
    sentence, code = known_problem(caught.value)
    assert "org/absent" in sentence and "Unset HF_HUB_OFFLINE" in sentence
    assert code == 1


def test_a_missing_extra_is_named_wherever_it_was_imported(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ModuleNotFoundError) as caught:
        import torch  # noqa: F401
    sentence, code = known_problem(caught.value)
    assert (sentence, code) == ("torch is needed here and is not installed: run pip install 'hf_select[models]'.", 1)
    assert known_problem(ModuleNotFoundError("No module named 'x'", name="x")) is None


def test_files():
    missing = FileNotFoundError(errno.ENOENT, "No such file or directory", "pool.jsonl")
    assert known_problem(missing) == ("there is no file or folder 'pool.jsonl'.", 1)
    full = OSError(errno.ENOSPC, "No space left on device", "cache/x.arrow")
    assert known_problem(full) == ("'cache/x.arrow': No space left on device", 1)


@pytest.mark.parametrize(
    "error", [ValueError("x"), KeyError("x"), RuntimeError("x"), ZeroDivisionError(), TypeError("x")]
)
def test_bugs_are_not_known(error):
    assert known_problem(error) is None
