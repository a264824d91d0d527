"""The loopback Hub of the tests: the fixture `hub`, or `with LoopbackHub() as hub`.

It speaks what huggingface_hub 2.4 and datasets 5.2 call, by LFS (one part or several) and, through a folder, by Xet:
users with tokens and roles, private, gated and disabled repositories of datasets and models, branches, tags and pull
requests, parent commits, card checks, ranges and pages, a log of requests, and faults on request (`hub.fail`).

Inside this process `hub.here(...)` points the libraries at it until the test ends; a subprocess gets `hub.env(...)`.
"""

from __future__ import annotations

import importlib
import os
import time
from pathlib import Path
from types import SimpleNamespace

from loopback_hub.faults import Faults
from loopback_hub.server import Server
from loopback_hub.store import Store, User
from loopback_hub.xet import XetFolder

# Modules whose waits between tries are remembered in `hub.waits` instead of being waited for.
_WAITING = (
    "huggingface_hub.utils._http",
    "huggingface_hub.file_download",
    "datasets.utils.file_utils",
    "datasets.arrow_dataset",
)


class LoopbackHub(Store, Faults):
    """A running Hub with one user "me", who may write in the organisation "lab".

    Args:
        xet: Folder where Xet keeps its files; without it the Hub has LFS only, as one of one's own may.
    """

    def __init__(self, xet: Path | None = None) -> None:
        Store.__init__(self)
        Faults.__init__(self)
        self.xet = None if xet is None else XetFolder(xet)
        self.waits: list[float] = []
        self.me: User = self.user("me", orgs={"lab": "write"})

    def __enter__(self) -> LoopbackHub:
        self._server = Server(self)
        self.ports = self._server.numbers
        return self

    def __exit__(self, *error: object) -> None:
        self.released.set()
        self._server.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports[0]}"

    @property
    def files_url(self) -> str:
        return f"http://127.0.0.1:{self.ports[1]}"

    def env(self, home: Path, user: User | None = None) -> dict[str, str]:
        """Return the whole environment of a process that works with this Hub and with a cache of its own.

        The Hub is its proxy too, so that a request to any other machine ends here, refused and in the log.
        """
        proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), self.url)
        return os.environ | {
            **proxies,
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "HF_DATASETS_CACHE": str(home / "datasets"),
            "HF_HUB_OFFLINE": "0",
            "HF_UPDATE_DOWNLOAD_COUNTS": "0",
            "HF_HUB_DISABLE_XET": "1" if self.xet is None else "0",
            "HF_TOKEN": "" if user is None else user.token,
        }

    def here(self, monkeypatch, home: Path, user: User | None = None) -> None:
        """Make this process work with this Hub until the test ends, with a cache of its own and without Xet."""
        import datasets
        import huggingface_hub
        from huggingface_hub import constants, hf_api

        settings = {
            "ENDPOINT": self.url,
            "HUGGINGFACE_CO_URL_TEMPLATE": self.url + "/{repo_id}/resolve/{revision}/{filename}",
            "HF_HUB_OFFLINE": False,
            "HF_HUB_DISABLE_XET": True,
            "HF_HOME": str(home),
            "HF_HUB_CACHE": str(home / "hub"),
            "HF_TOKEN_PATH": str(home / "token"),
            "HF_STORED_TOKENS_PATH": str(home / "stored_tokens"),
        }
        for name, value in settings.items():
            monkeypatch.setattr(constants, name, value)
        # The methods that huggingface_hub exports as functions belong to this instance, made with the old endpoint.
        monkeypatch.setattr(hf_api.api, "endpoint", self.url)
        urls = self.url + "/datasets/{repo_id}/resolve/{revision}/{path}"
        monkeypatch.setattr(datasets.config, "HF_ENDPOINT", self.url)
        monkeypatch.setattr(datasets.config, "HUB_DATASETS_URL", urls)
        monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", home / "datasets")
        huggingface_hub.HfFileSystem.clear_instance_cache()
        impatient = SimpleNamespace(**vars(time) | {"sleep": self.waits.append})
        for name in _WAITING:
            monkeypatch.setattr(importlib.import_module(name), "time", impatient)
        self.sign_in(monkeypatch, user)

    def sign_in(self, monkeypatch, user: User | None) -> None:
        """Make this process somebody else, or nobody."""
        if user is None:
            monkeypatch.delenv("HF_TOKEN", raising=False)
        else:
            monkeypatch.setenv("HF_TOKEN", user.token)
