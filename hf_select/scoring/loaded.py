"""Models that scorers have loaded: one table a process, so that a scorer stays as small as its configuration."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Hashable
from typing import Any

_TABLE: dict[tuple[int, Hashable], Any] = {}
_IMPORTED_IN = os.getpid()


def load_once(key: Hashable, load: Callable[[], Any]) -> Any:
    """Return what `load()` gave the first time this process asked for `key`.

    A forked child never uses what its parent loaded, and runs torch with one thread: the thread pool of the parent
    isn't there after a fork, and waiting for it would hang for ever.
    """
    place = (os.getpid(), key)
    if place not in _TABLE:
        if os.getpid() != _IMPORTED_IN and "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(1)
        _TABLE[place] = load()
    return _TABLE[place]


def forget_loaded() -> None:
    """Drop every model that scorers of this process have loaded, to make room before training or another model."""
    _TABLE.clear()
    gc.collect()
