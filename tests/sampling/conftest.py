"""Scored columns written by hand, as `score` would leave them."""

import pyarrow as pa
import pytest


@pytest.fixture
def scored():
    """Make a scored table: one row a score, keys r0, r1, ... unless given."""

    def make(scores, *, keys=None, tasks=None, statuses=None, **columns):
        n = len(scores)
        table = {
            "row_key": pa.array(keys or [f"r{i}" for i in range(n)], pa.string()),
            "row_task": pa.array(tasks or ["t"] * n, pa.string()),
            "row_status": pa.array(statuses or ["ok"] * n, pa.string()),
            "score": pa.array(scores, pa.float32()),
        }
        return pa.table({**table, **columns})

    return make
