"""Which errors are known, and the one sentence each becomes."""

from __future__ import annotations

import re

from hf_select.errors import HFSelectError, MissingExtra

# Matched by name along the error's classes, so that looking at an error imports nothing. The text after the name is
# what to do; the error's own first paragraph comes before it.
_ADVICE = {
    "GatedRepoError": "Ask for access on the repository's page, then log in with `hf auth login`.",
    "RepositoryNotFoundError": "Check the name; for a private repository log in with `hf auth login`.",
    "RevisionNotFoundError": "Check the revision on the repository's page.",
    "LocalTokenNotFoundError": "Log in with `hf auth login`.",
    "OfflineModeIsEnabled": "Unset HF_HUB_OFFLINE, or give a local folder.",
    "LocalEntryNotFoundError": "It is not in the local cache: connect to the network, or give a local folder.",
    "HfHubHTTPError": "",
    "HFValidationError": "Give a Hub id of the form org/name, or a local path that exists.",
    "DatasetNotFoundError": "Give a Hub id of the form org/name, or a local path that exists.",
    "DataFilesNotFoundError": "",
    "DatasetGenerationError": "",
    "OutOfMemoryError": "Use a smaller micro-batch, a shorter window or another device.",
}

_EXTRAS = {
    "accelerate": "models",
    "evaluate": "eval",
    "lmms_eval": "eval",
    "matplotlib": "report",
    "peft": "models",
    "torch": "models",
    "transformers": "models",
}


def known_problem(error: BaseException) -> tuple[str, int] | None:
    """Return the sentence and the exit code of a known error, or None for one that should show its traceback."""
    if isinstance(error, ModuleNotFoundError) and error.name in _EXTRAS:
        error = MissingExtra(error.name, _EXTRAS[error.name])
    if isinstance(error, HFSelectError):
        return _first_paragraph(error), error.exit_code
    names = [kind.__name__ for kind in type(error).__mro__]
    if isinstance(error, ConnectionError):
        # datasets raises its own and leaves of the Hub's error only the name, in brackets.
        names += re.findall(r"\((\w+)\)", str(error))
    for name, advice in _ADVICE.items():
        if name in names:
            text = _first_paragraph(error)
            return f"{text if text.endswith(('.', '!', '?')) else text + '.'} {advice}".rstrip(), 1
    if isinstance(error, FileNotFoundError) and error.filename is not None:
        return f"there is no file or folder {str(error.filename)!r}.", 1
    if isinstance(error, OSError):
        where = f"{str(error.filename)!r}: " if error.filename is not None else ""
        return where + (error.strerror or _first_paragraph(error)), 1
    return None


def _first_paragraph(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return " ".join(text.split("\n\n")[0].split())
