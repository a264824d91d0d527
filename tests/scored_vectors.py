"""Scored tables with a column of vectors, and what every sampler over vectors promises."""

import numpy as np
import pyarrow as pa


def table(vectors, column, **columns):
    """One row a vector (None for none), keys 00000, 00001, ..."""
    n = len(vectors)
    dim = next((len(vector) for vector in vectors if vector is not None), 1)
    lists = [None if vector is None else np.asarray(vector, dtype=np.float32).tolist() for vector in vectors]
    fixed = {
        "row_key": pa.array([f"{at:05d}" for at in range(n)], pa.string()),
        "row_task": pa.array([f"t{at % 3}" for at in range(n)], pa.string()),
        "row_status": pa.array(["ok"] * n, pa.string()),
        column: pa.array(lists, pa.list_(pa.float32(), dim)),
    }
    return pa.table({**fixed, **columns})


def picks(chosen):
    return [int(key) for key in chosen.keys]


def check_promises(sampler, rows, column, rng, budget, **columns):
    """Exact budgets with included rows inside, rows without a vector left out and counted, any order of rows."""
    n = len(rows)
    lacking = set(rng.choice(n, 3, replace=False).tolist())
    vectors = [None if at in lacking else vector for at, vector in enumerate(rows[column].to_pylist())]
    rows = rows.set_column(rows.column_names.index(column), column, pa.array(vectors, rows[column].type))
    usable = [at for at in range(n) if at not in lacking]
    include = [f"{at:05d}" for at in rng.choice(usable, min(3, budget), replace=False).tolist()]
    chosen = sampler.select(rows, budget, seed=1, include=include)
    assert len(chosen) == min(budget, n - 3) == len(set(chosen.keys))
    assert list(chosen.keys[: len(include)]) == include
    assert not lacking & set(picks(chosen))
    assert chosen.rejected == {"no embedding": 3}
    shuffled = sampler.select(rows.take(rng.permutation(n)), budget, seed=1, include=include)
    assert shuffled.keys == chosen.keys
