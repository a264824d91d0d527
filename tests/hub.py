"""The loopback Hub of the tests: `with LoopbackHub() as hub`, or the fixture `hub` of tests/hub/conftest.py.

It speaks what huggingface_hub 2.4 and datasets 5.2 call over HTTP and LFS, with users, private and gated repositories,
parent commits, card validation, a log of requests and injected faults (`hub.fail`).
"""

from __future__ import annotations

from pathlib import Path

from loopback_hub.server import Server
from loopback_hub.store import Store, User


class LoopbackHub(Store):
    """A running Hub with one user "me" who is in the organisation "lab"."""

    def __init__(self) -> None:
        super().__init__()
        self.me: User = self.user("me", orgs=("lab",))

    def __enter__(self) -> LoopbackHub:
        self._server = Server(self)
        return self

    def __exit__(self, *error: object) -> None:
        self._server.stop()

    @property
    def url(self) -> str:
        return self._server.url

    def env(self, home: Path, user: User | None = None) -> dict[str, str]:
        """Environment of a process that works with this Hub and a cache of its own."""
        token = {} if user is None else {"HF_TOKEN": user.token}
        return {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "HF_DATASETS_CACHE": str(home / "datasets"),
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "1",
            **token,
        }

    def here(self, monkeypatch, home: Path, user: User | None = None) -> None:
        """Make this process work with this Hub until the test ends, with a cache of its own."""
        import datasets
        from huggingface_hub import constants, hf_api

        monkeypatch.setattr(hf_api.api, "endpoint", self.url)
        monkeypatch.setattr(constants, "ENDPOINT", self.url)
        template = self.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
        monkeypatch.setattr(datasets.config, "HF_ENDPOINT", self.url)
        monkeypatch.setattr(
            datasets.config, "HUB_DATASETS_URL", self.url + "/datasets/{repo_id}/resolve/{revision}/{path}"
        )
        monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", home / "datasets")
        if user is None:
            monkeypatch.delenv("HF_TOKEN", raising=False)
        else:
            monkeypatch.setenv("HF_TOKEN", user.token)
