"""What gets imported when, seen from a fresh process."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "transformers", "datasets", "faiss", "evaluate")


def loaded(script: str) -> set[str]:
    """Run `script` in a fresh process and return which heavy packages it left in `sys.modules`."""
    script += f"\nimport sys\nprint('LOADED', *[name for name in {HEAVY + ('hf_select',)} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    words = done.stdout.splitlines()[-1].split()
    assert words[:1] == ["LOADED"] and "hf_select" in words
    return set(words) & set(HEAVY)


def test_import_hf_select_is_light():
    assert loaded("import hf_select; dir(hf_select); hf_select.__version__") == set()


@pytest.mark.parametrize("argv", [["--help"], ["--version"], ["env", "--help"], ["chekc"]])
def test_the_command_line_is_light(argv):
    assert loaded(f"from hf_select.cli.main import main; main({argv})") == set()


def test_help_of_every_command_is_light():
    script = "from hf_select.cli.main import COMMANDS, main\nfor name in COMMANDS: assert main([name, '--help']) == 0"
    assert loaded(script) == set()


def test_no_module_of_the_package_loads_a_heavy_one():
    """All but datasets, which the readers of pools can't do without."""
    script = (
        "import importlib, pkgutil, hf_select\n"
        "for found in pkgutil.walk_packages(hf_select.__path__, 'hf_select.'): importlib.import_module(found.name)"
    )
    assert loaded(script) <= {"datasets"}


def test_every_public_name_exists():
    import hf_select

    for name in hf_select.__all__:
        assert getattr(hf_select, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        hf_select.Nothing  # noqa: B018
