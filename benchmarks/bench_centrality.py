"""Neighbour centrality and the pick: ours beside the plain loop, one faiss index a cluster, as PreSel's script has it.

Run: OMP_NUM_THREADS=1 python benchmarks/bench_centrality.py [--rows 100000] [--cluster 100] [--dim 768] [--runs 3]
[--json FILE]. Processor seconds of one thread, sides in turn, medians; a tenth of each cluster is picked and the picks
must be the same.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from statistics import median

import faiss
import numpy as np

from hf_select.sampling.neighbours import NeighbourCentrality

K = 5


def plain(vectors: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Cluster by cluster: an exact index, the mean of the nearest other rows, the largest tenth."""
    picks = []
    for group in range(int(groups.max()) + 1):
        rows = np.flatnonzero(groups == group)
        index = faiss.IndexFlatIP(vectors.shape[1])
        index.add(vectors[rows])
        similar = index.search(vectors[rows], min(K + 1, len(rows)))[0][:, 1:]
        picks.append(rows[np.argsort(-similar.mean(axis=1), kind="stable")[: len(rows) // 10]])
    return np.concatenate(picks)


def ours(vectors: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """The product's scores, then the same pick from all clusters at once."""
    scores = NeighbourCentrality(k=K).score(vectors, groups)
    order = np.lexsort((-np.nan_to_num(scores, nan=-np.inf), groups))
    sizes = np.bincount(groups)
    place = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return order[place < np.repeat(sizes // 10, sizes)]


def main() -> None:
    """Print both sides."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--cluster", type=int, default=100)
    parser.add_argument("--dim", type=int, default=768)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    faiss.omp_set_num_threads(1)
    rng = np.random.default_rng(0)
    groups = rng.integers(0, max(1, options.rows // options.cluster), options.rows)
    vectors = rng.normal(size=(options.rows, options.dim)).astype(np.float32)
    vectors += 2 * rng.normal(size=(int(groups.max()) + 1, options.dim)).astype(np.float32)[groups]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    seconds: dict[str, list[float]] = {"plain": [], "ours": []}
    picks: dict[str, np.ndarray] = {}
    for run in range(options.runs + 1):
        for name, side in (("plain", plain), ("ours", ours)):
            start = time.process_time()
            picks[name] = side(vectors, groups)
            if run:
                seconds[name].append(time.process_time() - start)
    same = len(np.intersect1d(picks["plain"], picks["ours"])) / max(1, len(picks["plain"]))
    ratio = median(seconds["plain"]) / median(seconds["ours"])
    print(f"{options.rows:,} rows in clusters of {options.cluster}, {options.dim} dimensions, k = {K}")
    for name, taken in seconds.items():
        print(f"{name:>6}  {median(taken):.3f} s")
    print(f"{ratio:.2f} times faster; {same:.2%} of the picks are the same")
    if options.json:
        detail = [{"rows": options.rows, "same_picks": same} | {name: median(taken) for name, taken in seconds.items()}]
        options.json.write_text(json.dumps({"ratios": {"centrality": ratio}, "detail": detail}, indent=1) + "\n")


if __name__ == "__main__":
    main()
