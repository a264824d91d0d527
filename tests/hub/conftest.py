from __future__ import annotations

import pytest
from hub import LoopbackHub


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A loopback Hub this process talks to as the user "me"."""
    with LoopbackHub() as running:
        running.here(monkeypatch, tmp_path / "home", running.me)
        yield running
