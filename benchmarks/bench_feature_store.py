"""Opening a pool's vectors and what they weigh on disk: `write_features` beside a pickled dict of one array an image.

    python benchmarks/bench_feature_store.py [--rows 20000] [--dim 768] [--runs 3] [--json FILE]

The dict is kept as PreSel keeps it: one vector an image under its number, both cut out of the batches of a loader, in
one `torch.save`. Both sides in each run, CPU seconds, median. "open" is until the first vector can be read, "matrix"
until all of them lie in one float32 array. Numbers must agree within half precision.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from hf_select.embedding.feature_store import read_features, write_features
from hf_select.sampling.features import feature_matrix

_BATCH = 64


def unit_vectors(rows: int, dim: int) -> np.ndarray:
    """Random vectors of unit length, float32 (rows, dim)."""
    vectors = np.random.default_rng(0).standard_normal((rows, dim), dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def write_pickle(vectors: np.ndarray, path: Path) -> None:
    """Write {number as a tensor: array}, batch by batch as a loader gives them."""
    import torch

    features = {}
    for start in range(0, len(vectors), _BATCH):
        batch = torch.from_numpy(vectors[start : start + _BATCH])
        for at, number in enumerate(torch.arange(start, start + len(batch))):
            features[number] = batch[at].numpy()
    torch.save(features, path)


def read_pickle(path: Path) -> dict[Any, np.ndarray]:
    """Read it; nothing can be read before everything is."""
    import torch

    return torch.load(path, weights_only=False)


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds of a call, and what it returns."""
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def measure(rows: int, dim: int, runs: int, folder: Path) -> dict[str, Any]:
    """Return sizes, median seconds and ratios."""
    vectors = unit_vectors(rows, dim)
    store, pickled = folder / "features.arrow", folder / "features.pt"
    keys = pa.array([f"{at:032x}" for at in range(rows)])
    kind = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), dim)
    facts = {"row_key": keys, "row_task": pa.array(["task"] * rows), "row_status": pa.array(["ok"] * rows)}
    write_features(pa.table({**facts, "embedding": kind}), store)
    write_pickle(vectors, pickled)
    took: dict[str, list[float]] = {name: [] for name in ("open", "open_pickle", "matrix", "matrix_pickle")}
    for _ in range(runs):
        taken, table = seconds(lambda: _touched(read_features(store)))
        took["open"].append(taken)
        taken, mine = seconds(lambda table=table: feature_matrix(table, "embedding"))
        took["matrix"].append(took["open"][-1] + taken)
        taken, features = seconds(lambda: read_pickle(pickled))
        took["open_pickle"].append(taken)
        taken, theirs = seconds(lambda features=features: np.stack(list(features.values())))
        took["matrix_pickle"].append(took["open_pickle"][-1] + taken)
        assert np.abs(mine - theirs).max() < 5e-4
        del table, mine, features, theirs
    sizes = {"store": store.stat().st_size, "pickle": pickled.stat().st_size}
    middle = {name: statistics.median(each) for name, each in took.items()}
    ratios = {
        "feature_store_open": middle["open_pickle"] / middle["open"],
        "feature_store_matrix": middle["matrix_pickle"] / middle["matrix"],
        "feature_store_size": sizes["store"] / sizes["pickle"],
    }
    return {"rows": rows, "dim": dim, "bytes": sizes, "cpu_seconds": middle, "ratios": ratios}


def _touched(table: pa.Table) -> pa.Table:
    table["embedding"][0].as_py()
    return table


def main() -> None:
    """Print what was measured, and write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--dim", type=int, default=768)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(args.rows, args.dim, args.runs, Path(folder))
    print(f"{found['rows']} vectors of {found['dim']} numbers")
    print(f"{'':<24}{'pickled dict':>14}{'store':>14}{'ratio':>10}")
    took, sizes, ratios = found["cpu_seconds"], found["bytes"], found["ratios"]
    for name in ("open", "matrix"):
        here, there = took[name], took[f"{name}_pickle"]
        print(f"{name + ', CPU s':<24}{there:>14.4f}{here:>14.5f}{ratios[f'feature_store_{name}']:>9.0f}x")
    print(f"{'size, MB':<24}{sizes['pickle'] / 1e6:>14.1f}{sizes['store'] / 1e6:>14.1f}", end="")
    print(f"{ratios['feature_store_size']:>10.3f}")
    if args.json is not None:
        args.json.write_text(json.dumps({"ratios": ratios, "detail": [found]}, indent=2) + "\n")


if __name__ == "__main__":
    main()
