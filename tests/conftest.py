"""What every test runs under: no network, no token, no GPU, own caches, few threads.

The environment is set when this file is imported, so before any test imports datasets, transformers or torch, and
subprocesses inherit it.
"""

from __future__ import annotations

import atexit
import os
import shutil
import socket
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path(tempfile.mkdtemp(prefix="hf_select_tests_"))

for name in ("HF_ENDPOINT", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_DEBUG", "HF_HUB_CACHE", "HF_ASSETS_CACHE"):
    os.environ.pop(name, None)
os.environ.update(
    HF_HUB_OFFLINE="1",
    HF_HUB_DISABLE_TELEMETRY="1",
    HF_HUB_DISABLE_PROGRESS_BARS="1",
    HF_HOME=str(CACHE / "hf"),
    HF_DATASETS_CACHE=str(CACHE / "datasets"),
    CUDA_VISIBLE_DEVICES="",
    MPLBACKEND="Agg",
    OMP_NUM_THREADS=os.environ.get("OMP_NUM_THREADS", "1"),
    MKL_NUM_THREADS=os.environ.get("MKL_NUM_THREADS", "1"),
    TOKENIZERS_PARALLELISM="false",
)

settings.register_profile("hf_select", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("hf_select")


class NetworkForbidden(RuntimeError):
    """A test reached for a machine other than this one."""


LOCAL_HOSTS = {None, "", "localhost", "ip6-localhost", "::1", "0.0.0.0", "::", socket.gethostname()}


def _is_local(host: object) -> bool:
    name = host.decode() if isinstance(host, bytes) else host
    return name in LOCAL_HOSTS or (isinstance(name, str) and name.startswith("127."))


def _forbid_network(event: str, args: tuple) -> None:
    if event == "socket.getaddrinfo":
        host = args[0]
    elif event in ("socket.connect", "socket.sendto"):
        address = args[1]
        if not isinstance(address, tuple):
            return
        host = address[0]
    else:
        return
    if not _is_local(host):
        raise NetworkForbidden(f"tests run without a network, and {event} was called for {host!r}")


# An audit hook also sees C code and libraries that kept their own reference to a socket function; it can't be undone,
# which is what a guard wants.
sys.addaudithook(_forbid_network)


def _remove_cache(owner: int = os.getpid()) -> None:  # noqa: B008 - the process that made it, not a fork of it
    if os.getpid() == owner:
        shutil.rmtree(CACHE, ignore_errors=True)


atexit.register(_remove_cache)


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's root."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The optional folder of large test inputs, kept outside the repository; a test that asks for it skips without."""
    folder = Path(os.environ.get("HF_SELECT_SHARED", ROOT.parent / "shared"))
    if not folder.is_dir():
        pytest.skip("the optional folder of shared test inputs (HF_SELECT_SHARED) is not here")
    return folder


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A loopback Hub that this process talks to as its user "me"."""
    from hub import LoopbackHub

    with LoopbackHub() as running:
        running.here(monkeypatch, tmp_path / "home", running.me)
        yield running
