"""The guard of conftest.py: tests see no network, no token and no cache but their own."""

from __future__ import annotations

import os
import socket
import threading

import pytest


def test_no_connection_leaves_this_machine():
    with socket.socket() as outside, pytest.raises(RuntimeError, match="without a network"):
        outside.connect(("192.0.2.1", 443))
    with pytest.raises(RuntimeError, match="without a network"):
        socket.create_connection(("example.invalid", 443))


def test_loopback_is_allowed():
    with socket.create_server(("127.0.0.1", 0)) as server:
        accepted = threading.Thread(target=lambda: server.accept()[0].close())
        accepted.start()
        with socket.create_connection(("localhost", server.getsockname()[1])):
            pass
        accepted.join()


def test_caches_are_temporary_and_tokens_are_gone():
    import datasets
    import huggingface_hub.constants

    assert "hf_select_tests_" in str(datasets.config.HF_DATASETS_CACHE)
    assert "hf_select_tests_" in str(huggingface_hub.constants.HF_HUB_CACHE)
    assert huggingface_hub.constants.HF_HUB_OFFLINE
    assert not {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_ENDPOINT"} & set(os.environ)
