"""k-means of one task: ours (k-means++ start, all rows) beside faiss.Kmeans as it comes.

Run: python benchmarks/bench_kmeans.py [--rows 5000] [--dim 768] [--runs 3]. Processor seconds of one thread, medians;
inertia is the sum of squared distances of all rows to their centroids.
"""

from __future__ import annotations

import argparse
import platform
import time
from statistics import median

import faiss
import numpy as np

from hf_select.sampling.kmeans import KMeansGroups


def plain(points: np.ndarray, k: int, seed: int) -> float:
    """faiss.Kmeans with its defaults; return the inertia over all rows."""
    kmeans = faiss.Kmeans(points.shape[1], k, seed=seed + 1)
    kmeans.train(points)
    return float(kmeans.index.search(points, 1)[0].sum(dtype=np.float64))


def main() -> None:
    """Print both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--dim", type=int, default=768)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    faiss.omp_set_num_threads(1)
    rng = np.random.default_rng(0)
    middles = rng.normal(size=(60, options.dim))
    points = middles[rng.integers(0, 60, options.rows)] + rng.normal(size=(options.rows, options.dim))
    points = (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)
    keys = [f"{at:08d}" for at in range(options.rows)]
    groups = KMeansGroups(k=0.01)
    taken: dict[str, list[float]] = {"ours": [], "faiss": []}
    inertia: dict[str, list[float]] = {"ours": [], "faiss": []}
    for seed in range(options.runs):
        start = time.process_time()
        inertia["ours"].append(groups.assign(points, keys, seed=seed).inertia[""])
        taken["ours"].append(time.process_time() - start)
        start = time.process_time()
        inertia["faiss"].append(plain(points, groups.count(options.rows), seed))
        taken["faiss"].append(time.process_time() - start)
    print(f"{platform.processor() or platform.machine()}, one thread, {options.rows:,} rows, k = 1 %")
    for name in taken:
        print(f"{name:>6}  {median(taken[name]):.2f} s  inertia {median(inertia[name]):.2f}")
    print(f"inertia of ours over faiss's: {median(inertia['ours']) / median(inertia['faiss']):.4f}")


if __name__ == "__main__":
    main()
