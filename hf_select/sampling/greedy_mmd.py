"""GreedyMMDSampler: COINCIDE's choice: more from clusters that transfer and aren't dense, rows that mirror them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from hf_select.errors import UnknownName, UsageError
from hf_select.sampling.allocation import Allocation
from hf_select.sampling.columns import ScoredRows
from hf_select.sampling.features import unit
from hf_select.sampling.kmeans import KMeansGroups
from hf_select.sampling.members import Members
from hf_select.sampling.sampler import Plan, Sampler

PRESETS = ("safe", "paper")

_BLOCK_BYTES = 64_000_000
"""Most bytes of similarities that are held at once."""

_DIGITS = 10
"""Greedy gains that agree to this many digits are equal."""


@dataclass(frozen=True, kw_only=True)
class GreedyMMDSampler(Sampler):
    """Budgets of clusters by transferability and density, rows by greedy MMD (COINCIDE, arXiv 2406.10995).

    Spherical k-means makes clusters of all rows. For cluster c:

    * transferability T_c: the mean cosine of its centroid to the others, on the second half of the vectors (language),
      without cosines above `alike`; 0 where none is left;
    * density D_c: the mean of exp(-||x - y||^2 / 2) over all pairs of its rows, each row with itself too;
    * P_c = softmax(T_c / (temperature x D_c)).

    Clusters are visited from the largest P_c: round(what is left of the budget x P_c / P of the clusters not visited
    yet) rows, or all the cluster has. Inside a cluster X the rows S are chosen one by one, each the one that brings the
    squared maximum mean discrepancy mean K(X, X) - 2 mean K(X, S) + mean K(S, S) lowest; ties by row key. Rows given by
    `include` belong to X, and to S from the start.

    The sequence can end short where the last clusters lack rows: "paper" leaves it so, "safe" (default) runs it again
    over the clusters that have rows left, until the budget is spent or no row is left.

    Attributes:
        features: Column of vectors as `HiddenEmbedding` adds for COINCIDE: vision in the first half, language in the
            second; a pair's distance is of the vectors as they are.
        clusters: A share of the rows below 1, or a number. The paper's 10,000 of LLaVA's 665,298 rows are 1.5 %.
        temperature: Smaller values prefer the best clusters more.
        alike: Cosine above which two centroids count as one and the same.
        iterations: Steps of k-means.
        preset: "safe" or "paper".
        allocation: Not used, the method has its own; any but the default is refused.

    Cost: k-means, all pairs inside a cluster once (float64, in blocks), and rows x d of a cluster a chosen row.
    """

    reason: ClassVar[str] = "representative"
    features: str = "coincide_hidden"
    clusters: float = 0.015
    temperature: float = 0.1
    alike: float = 0.9
    iterations: int = 50
    preset: Literal["safe", "paper"] = "safe"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.preset not in PRESETS:
            raise UnknownName("preset", self.preset, PRESETS)
        if not self.temperature > 0:
            raise UsageError(f"temperature is {self.temperature}; it is a number above 0")
        if self.allocation != Allocation():
            raise UsageError("GreedyMMDSampler divides the budget by its own rule: leave allocation out")
        self._grouping()

    def _columns(self) -> list[str]:
        return [self.features]

    def _grouping(self) -> KMeansGroups:
        return KMeansGroups(k=self.clusters, spherical=True, iterations=self.iterations)

    def _plan(self, rows: ScoredRows, scores: np.ndarray | None, free: np.ndarray, seed: int, left: int | None) -> Plan:
        members = Members.read(rows, self.features, free)
        addresses = rows.address_list
        groups = self._grouping().assign(members.points, [addresses[at] for at in members.at.tolist()], seed=seed)
        sizes = np.bincount(groups.codes, minlength=len(groups.names))
        of = np.split(np.argsort(groups.codes, kind="stable"), np.cumsum(sizes)[:-1])[: len(sizes)]
        affinity = [mean_kernel(members.points[inside]) for inside in of]
        centroids = np.array([_centroid(members.points[inside]) for inside in of])
        density = np.array([mean.mean() if len(mean) else 1.0 for mean in affinity])
        share = cluster_shares(transferability(centroids, self.alike), density, self.temperature)
        has = np.array([members.free[inside].sum() for inside in of], dtype=np.int64)
        wanted = has if left is None else sequential_quotas(share, has, left, exact=self.preset == "safe")
        order = [np.empty(0, dtype=np.int64)]
        for inside, mean, n in zip(of, affinity, wanted.tolist(), strict=True):
            drawable = members.free[inside]
            picked = inside[greedy_mmd(members.points[inside], mean, n, drawable)]
            order += [picked, np.setdiff1d(inside[drawable], picked)]
        codes = np.full(len(rows), -1, dtype=np.int64)
        codes[members.at] = groups.codes
        return Plan(members.at[np.concatenate(order)], codes, groups.names, share, rejected=members.rejected)

    def _quotas(self, plan: Plan, sizes: np.ndarray, total: int) -> tuple[np.ndarray, np.ndarray]:
        return sequential_quotas(plan.factors, sizes, total, exact=self.preset == "safe"), plan.factors


def transferability(centroids: np.ndarray, alike: float = 0.9) -> np.ndarray:
    """Mean cosine of each centroid to the others that aren't `alike`, on the second half of the vectors.

    Args:
        centroids: Float of shape (clusters, d); NaN for a cluster without rows.
        alike: Cosines above this, and of a centroid with itself, are left out.

    Returns:
        float64 of shape (clusters,); 0 for a cluster without rows, or without another that isn't alike.
    """
    clusters = len(centroids)
    result = np.zeros(clusters)
    if clusters == 0:
        return result
    has_rows = np.isfinite(centroids).all(axis=1)
    language = np.nan_to_num(unit(centroids[:, centroids.shape[1] // 2 :])).astype(np.float64)
    block = max(1, _BLOCK_BYTES // (8 * clusters))
    for at in range(0, clusters, block):
        cosine = language[at : at + block] @ language.T
        size = len(cosine)
        counts = (cosine <= alike) & has_rows
        counts[np.arange(size), np.arange(at, at + size)] = False
        result[at : at + size] = np.where(counts, cosine, 0).sum(axis=1) / np.maximum(counts.sum(axis=1), 1)
    return np.where(has_rows, result, 0)


def cluster_shares(transfer: np.ndarray, density: np.ndarray, temperature: float = 0.1) -> np.ndarray:
    """Softmax of transferability / (temperature x density): float64 of shape (clusters,), all above 0."""
    if len(transfer) == 0:
        return np.zeros(0)
    logits = transfer / (temperature * density)
    share = np.exp(logits - logits.max())
    return np.maximum(share / share.sum(), np.finfo(np.float64).tiny)


def sequential_quotas(shares: np.ndarray, sizes: np.ndarray, total: int, *, exact: bool = True) -> np.ndarray:
    """COINCIDE's division of a budget: from the largest share down, each of what the ones before it left.

    Args:
        shares: float64 of shape (groups,), above 0; needn't sum to 1. Equal ones go by position.
        sizes: int64 of shape (groups,), what each group has.
        total: What to divide.
        exact: Whether to go round again with what is left at the end, until nothing is left to give or to take.

    Returns:
        int64 of shape (groups,), at most `sizes`.
    """
    quota = np.zeros(len(sizes), dtype=np.int64)
    left = total
    while left > 0:
        visit = np.flatnonzero(sizes > quota)
        if visit.size == 0:
            break
        visit = visit[np.argsort(-shares[visit], kind="stable")]
        ahead = np.cumsum(shares[visit][::-1])[::-1]
        for group, part in zip(visit.tolist(), (shares[visit] / ahead).tolist(), strict=True):
            n = min(round(left * part), int(sizes[group] - quota[group]))
            quota[group] += n
            left -= n
        if not exact:
            break
    return quota


def mean_kernel(points: np.ndarray) -> np.ndarray:
    """Mean over all points y of exp(-||x - y||^2 / 2) for each point x: float64 of shape (points,); all pairs."""
    x = points.astype(np.float64)
    squares = np.square(x).sum(axis=1)
    block = max(1, _BLOCK_BYTES // (8 * max(len(x), 1)))
    parts = [slice(at, at + block) for at in range(0, len(x), block)]
    means = [_kernel(x[part], squares[part], x, squares).mean(axis=1) for part in parts]
    return np.concatenate(means) if means else np.zeros(0)


def greedy_mmd(points: np.ndarray, affinity: np.ndarray, n: int, drawable: np.ndarray | None = None) -> np.ndarray:
    """Choose points whose mean embedding stays closest to that of all (kernel exp(-||x - y||^2 / 2)).

    With m points chosen, the next one minimises sum of K(x, S) / (m + 1) - mean K(x, X): what of the squared MMD
    depends on x, times (m + 1) / 2. The sum is kept up to date, so that a step costs one row of K.

    Args:
        points: Float of shape (points, d).
        affinity: `mean_kernel(points)`.
        n: How many, at most the drawable points.
        drawable: bool of shape (points,): the others are chosen from the start; None for all.

    Returns:
        int64 of shape (n,), in the order of choice; ties by position.
    """
    x = points.astype(np.float64)
    squares = np.square(x).sum(axis=1)
    taken = np.zeros(len(x), dtype=bool) if drawable is None else ~drawable
    together = _kernel(x, squares, x[taken], squares[taken]).sum(axis=1)
    chosen = int(taken.sum())
    picked = np.empty(n, dtype=np.int64)
    for step in range(n):
        loss = np.round(together / (chosen + step + 1) - affinity, _DIGITS)
        loss[taken] = np.inf
        at = int(np.argmin(loss))
        picked[step] = at
        taken[at] = True
        together += _kernel(x, squares, x[at : at + 1], squares[at : at + 1])[:, 0]
    return picked


def _kernel(x: np.ndarray, x_squares: np.ndarray, y: np.ndarray, y_squares: np.ndarray) -> np.ndarray:
    return np.exp(np.minimum(x @ y.T - (x_squares[:, None] + y_squares) / 2, 0))


def _centroid(points: np.ndarray) -> np.ndarray:
    """The mean of the unit vectors, float64; NaN where there is none."""
    return unit(points).mean(axis=0, dtype=np.float64) if len(points) else np.full(points.shape[1], np.nan)
