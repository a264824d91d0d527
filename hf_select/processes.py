"""What worker processes need beside their work."""

from __future__ import annotations

import os
import threading
from multiprocessing import connection, parent_process


def end_with_parent() -> None:
    """End this process when its parent ends, however that ended.

    A worker of a pool waits for work on a queue whose other end it holds itself, so a parent that was killed would
    leave it waiting for ever, with its model in memory.
    """
    parent = parent_process()
    if parent is None:
        return

    def watch() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, name="end with parent", daemon=True).start()
