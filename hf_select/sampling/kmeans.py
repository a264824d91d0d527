"""KMeansGroups: k-means by faiss over all rows or inside each label, the same whatever the order of the rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from hf_select.errors import UsageError
from hf_select.sampling.features import has_vector, unit

_START_POINTS = 5000
_FAISS_SEEDS = 2**31
"""faiss keeps its seed in a C int."""


@dataclass(frozen=True)
class Groups:
    """A partition of rows.

    Attributes:
        codes: int64 of shape (rows,): each row's group; -1 where it has no vector.
        names: The groups' names, in the order of their codes: "task / 03", or "03" without labels.
        labels: The label each group lies in, "" without labels.
        inertia: Sum of squared distances to the centroids, by label.
    """

    codes: np.ndarray
    names: list[str]
    labels: list[str]
    inertia: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class KMeansGroups:
    """Groups of similar rows, by Lloyd's k-means on their vectors (faiss).

    Rows enter in the order of their keys and the start (k-means++) is drawn from `seed`, so the same rows give the same
    groups however they are ordered. All rows train the centroids (faiss itself would take 256 a centroid).

    Attributes:
        k: Groups of each label: a number, or a share of its rows below 1, floor(share x rows) and at least 1 (PreSel,
            arXiv 2503.07591: 0.01). Never more than its rows.
        spherical: Whether centroids are brought back to unit length after each step (for cosine similarity).
        iterations: Lloyd steps.
        max_points_per_centroid: Train on at most so many rows a centroid, drawn by `seed`; None for all.

    Cost: 2 x rows x k x d floating-point operations a step; memory: one copy of the vectors of the largest label.
    """

    k: float = 0.01
    spherical: bool = False
    iterations: int = 25
    max_points_per_centroid: int | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.k) and self.k > 0) or (self.k >= 1 and self.k != int(self.k)):
            raise UsageError(f"k is {self.k}; give a whole number of groups, or a share of the rows below 1")
        if self.iterations < 1:
            raise UsageError(f"iterations is {self.iterations}; at least 1 step is needed")
        if self.max_points_per_centroid is not None and self.max_points_per_centroid < 1:
            raise UsageError(
                f"max_points_per_centroid is {self.max_points_per_centroid}; at least 1 row is needed, or None for all"
            )

    def count(self, rows: int) -> int:
        """How many groups so many rows make."""
        wanted = int(self.k * rows + 1e-9) if self.k < 1 else int(self.k)
        return min(max(1, wanted), rows)

    def assign(
        self, features: np.ndarray, keys: Sequence[str], labels: Sequence[str] | None = None, *, seed: int = 0
    ) -> Groups:
        """Group rows.

        Args:
            features: float32 of shape (rows, d); NaN where a row has no vector, as `feature_matrix` gives.
            keys: A unique address of each row.
            labels: Each row's label; groups never cross labels.
            seed: Decides the start; any whole number.

        Returns:
            Codes are numbered label by label in ascending order. Two calls with equal input give equal output.

        Raises:
            UsageError: Lengths that differ.
        """
        if not len(features) == len(keys) == len(keys if labels is None else labels):
            raise UsageError(f"{len(features)} vectors, {len(keys)} keys: one of each is needed for every row")
        given = np.zeros(len(keys), dtype=np.int64)
        found = [""]
        if labels is not None:
            found, given = np.unique(np.asarray(labels, dtype=object).astype(str), return_inverse=True)
        usable = has_vector(features)
        by_key = np.argsort(np.asarray(keys, dtype=object).astype(str), kind="stable")
        codes = np.full(len(keys), -1, dtype=np.int64)
        names: list[str] = []
        owners: list[str] = []
        inertia: dict[str, float] = {}
        for number, label in enumerate(map(str, found)):
            rows = by_key[(given[by_key] == number) & usable[by_key]]
            if rows.size == 0:
                continue
            k = self.count(rows.size)
            own, inertia[label] = self._fit(features[rows], k, seed)
            codes[rows] = own + len(names)
            digits = len(str(k - 1))
            names += [f"{label} / {at:0{digits}d}" if label else f"{at:0{digits}d}" for at in range(k)]
            owners += [label] * k
        return Groups(codes, names, owners, inertia)

    def _fit(self, points: np.ndarray, k: int, seed: int) -> tuple[np.ndarray, float]:
        points = np.ascontiguousarray(unit(points) if self.spherical else points, dtype=np.float32)
        if k == 1:
            centre = points.mean(axis=0, dtype=np.float64)
            return np.zeros(len(points), dtype=np.int64), float(((points - centre) ** 2).sum())
        import faiss

        most = self.max_points_per_centroid or -(-len(points) // k)
        kmeans = faiss.Kmeans(
            points.shape[1],
            k,
            niter=self.iterations,
            seed=(seed + 1) % _FAISS_SEEDS,
            spherical=self.spherical,
            max_points_per_centroid=most,
            min_points_per_centroid=1,
        )
        kmeans.train(points, init_centroids=_start(points, k, _random(seed)))
        distances, nearest = kmeans.index.search(points, 1)
        distances = 2 - 2 * distances if self.spherical else distances
        return nearest[:, 0].astype(np.int64), float(distances.sum(dtype=np.float64))


def _random(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed if seed >= 0 else [-seed, 1])


def _start(points: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """Draw k centroids by k-means++ (each with probability proportional to its squared distance to those before it).

    From at most `_START_POINTS` or ten points a centroid, so that the start costs less than a step.
    """
    most = max(_START_POINTS, 10 * k)
    if len(points) > most:
        points = points[np.sort(rng.choice(len(points), most, replace=False))]
    norms = (points**2).sum(axis=1)
    chosen = [int(rng.integers(len(points)))]
    nearest = np.full(len(points), np.inf, dtype=np.float32)
    for _ in range(k - 1):
        last = points[chosen[-1]]
        nearest = np.minimum(nearest, np.maximum(norms - 2 * (points @ last) + norms[chosen[-1]], 0))
        nearest[chosen[-1]] = 0
        total = np.cumsum(nearest, dtype=np.float64)
        spread = total[-1] > 0
        chosen.append(int(np.searchsorted(total, rng.random() * total[-1], side="right")) if spread else chosen[-1])
    return points[np.minimum(chosen, len(points) - 1)]
