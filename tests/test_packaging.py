"""The wheel, built from the sdist, holds what the tree holds; extras and constraints agree with each other."""

from __future__ import annotations

import configparser
import email
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DATA_FOLDERS = ("hub_cards", "eval")
NOT_SOURCE = shutil.ignore_patterns(".*", "*.egg-info", "__pycache__", "build", "dist", "runs", "tests")


@pytest.fixture(scope="module")
def setup() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A folder with the sdist and the wheel made from it, offline."""
    folder = tmp_path_factory.mktemp("build")
    shutil.copytree(ROOT, folder / "tree", ignore=NOT_SOURCE)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(folder / "tree")]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return folder


@pytest.fixture(scope="module")
def wheel(built) -> zipfile.ZipFile:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as file:
        yield file


def tree_files() -> set[str]:
    """Every file of the package and of the two data folders, under the name it has in the wheel."""
    found = set()
    for folder in ("hf_select", *DATA_FOLDERS):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                name = path.relative_to(ROOT).as_posix()
                found.add(name if folder == "hf_select" else f"hf_select/{name}")
    return found


def test_the_wheel_holds_exactly_the_tree(wheel):
    packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert packed == tree_files()
    assert "hf_select/py.typed" in packed
    for folder in DATA_FOLDERS:
        assert f"hf_select/{folder}/__init__.py" in packed


def test_the_sdist_can_be_built_and_read_alone(built):
    with tarfile.open(next(built.glob("*.tar.gz"))) as file:
        names = {name.split("/", 1)[-1] for name in file.getnames()}
    assert {"README.md", "LICENSE", "setup.cfg", "pyproject.toml"} <= names


def test_metadata(wheel):
    folder = next(name.split("/")[0] for name in wheel.namelist() if ".dist-info/" in name)
    metadata = email.message_from_bytes(wheel.read(f"{folder}/METADATA"))
    assert metadata["Name"] == "hf_select"
    assert metadata["Requires-Python"] == ">=3.11"
    assert "Apache-2.0" in (metadata["License-Expression"] or metadata["License"])
    assert f"{folder}/licenses/LICENSE" in wheel.namelist()
    assert metadata.get_payload().splitlines()[0] == (ROOT / "README.md").read_text().splitlines()[0]
    assert set(metadata.get_all("Provides-Extra")) == {"models", "eval", "report", "dev", "all"}
    assert "hf-select = hf_select.cli.main:main" in wheel.read(f"{folder}/entry_points.txt").decode()


def test_every_folder_with_code_is_a_package(setup):
    """Task folders under eval/ are data: lmms-eval reads their files by path."""
    packages = lines(setup["options"]["packages"])
    folders = {
        path.parent.relative_to(ROOT).as_posix().replace("/", ".") for path in (ROOT / "hf_select").rglob("*.py")
    }
    assert set(packages) == folders | {f"hf_select.{name}" for name in DATA_FOLDERS}
    for package in folders:
        assert (ROOT / package.replace(".", "/") / "__init__.py").is_file()


def test_data_folders_are_found_in_the_checkout():
    from hf_select.resources import resource_dir

    assert [resource_dir(name).is_dir() for name in DATA_FOLDERS] == [True, True]


def test_the_wheel_works_without_the_checkout(built, tmp_path):
    """Unpacked, as pip does, and run from elsewhere: the data folders are found and the command answers."""
    with zipfile.ZipFile(next(built.glob("*.whl"))) as file:
        file.extractall(tmp_path)
    script = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "import hf_select; from hf_select.resources import resource_dir\n"
        "print(hf_select.__file__, resource_dir('hub_cards'), resource_dir('eval'))\n"
        "from hf_select.cli.main import main; sys.exit(main(['--version']))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    first, last = done.stdout.splitlines()
    assert all(word.startswith(str(tmp_path)) for word in first.split())
    assert last.startswith("hf-select ")


def test_what_is_installed_is_pinned(setup):
    pins = [line for line in lines((ROOT / "constraints.txt").read_text()) if not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9.-]+==[\w.]+", line) for line in pins)
    assert pins == sorted(pins)
    pinned = {line.split("==")[0] for line in pins}
    extras = setup["options.extras_require"]
    wanted = lines(setup["options"]["install_requires"])
    for extra in ("models", "eval", "report", "dev"):
        wanted += lines(extras[extra])
    names = {re.split(r"[<>=\[]", line)[0].replace("_", "-").lower() for line in wanted}
    assert names <= pinned
    assert "torchvision" not in pinned


def test_no_package_index_is_named():
    for name in ("Makefile", ".ci/run", "constraints.txt", "setup.cfg", "pyproject.toml"):
        text = (ROOT / name).read_text()
        assert "index-url" not in text and "pypi.org" not in text and "://" not in text
