"""Neighbour centrality: our blocked matrix products beside faiss's flat index, by size of the group.

Run: python benchmarks/bench_centrality.py [--dim 768] [--runs 3]. Seconds are processor seconds of one thread, medians.
"""

from __future__ import annotations

import argparse
import platform
import time
from statistics import median

import faiss
import numpy as np

from hf_select.sampling.neighbours import NeighbourCentrality

K = 5


def by_faiss(vectors: np.ndarray) -> np.ndarray:
    """The same numbers from an exact inner-product index, the row itself left out by its index."""
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    similar, found = index.search(vectors, K + 1)
    others = found != np.arange(len(vectors))[:, None]
    # Where a copy took the row's own place, the last one of the list is one too many.
    keep = np.argsort(~others, axis=1, kind="stable")[:, :K]
    return np.take_along_axis(similar, keep, axis=1).mean(axis=1, dtype=np.float64)


def seconds(call: object, runs: int) -> float:
    """Median processor seconds of a call."""
    taken = []
    for _ in range(runs):
        start = time.process_time()
        call()
        taken.append(time.process_time() - start)
    return median(taken)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dim", type=int, default=768)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    faiss.omp_set_num_threads(1)
    print(f"{platform.processor() or platform.machine()}, one thread, {options.dim} dimensions, k = {K}")
    print(f"{'rows':>7}  {'ours':>9}  {'faiss':>9}  ratio")
    rng = np.random.default_rng(0)
    for rows in (100, 1_000, 10_000):
        vectors = rng.normal(size=(rows, options.dim)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        groups = np.zeros(rows, dtype=np.int64)
        ours = NeighbourCentrality(k=K).score(vectors, groups)
        assert np.abs(ours - by_faiss(vectors)).max() < 1e-5
        mine = seconds(lambda v=vectors, g=groups: NeighbourCentrality(k=K).score(v, g), options.runs)
        other = seconds(lambda v=vectors: by_faiss(v), options.runs)
        print(f"{rows:>7,}  {mine:>7.3f} s  {other:>7.3f} s  {other / mine:.2f}")


if __name__ == "__main__":
    main()
