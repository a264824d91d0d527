"""Finds the data folders `hub_cards/` and `eval/` in a wheel, an editable install and a checkout."""

from __future__ import annotations

from pathlib import Path

from hf_select.errors import HFSelectError


def resource_dir(name: str) -> Path:
    """Return the folder of packaged data called `name` ("hub_cards" or "eval").

    A wheel holds it inside the package; a checkout and an editable install keep it beside the package.
    """
    package = Path(__file__).resolve().parent
    for folder in (package / name, package.parent / name):
        if (folder / "__init__.py").is_file():
            return folder
    raise HFSelectError(f"the data folder {name!r} is missing from this installation of hf_select: reinstall it.")
