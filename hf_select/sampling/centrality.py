"""CentralitySampler: PreSel's choice of images: budgets of tasks and clusters, then the most central rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from hf_select.errors import UnknownName, UsageError
from hf_select.sampling.allocation import Allocation
from hf_select.sampling.columns import ScoredRows
from hf_select.sampling.draw import random_order
from hf_select.sampling.features import feature_matrix, has_vector, unit
from hf_select.sampling.kmeans import Groups, KMeansGroups
from hf_select.sampling.neighbours import NeighbourCentrality
from hf_select.sampling.rounding import half_even, ideal
from hf_select.sampling.sampler import Plan, Sampler
from hf_select.sampling.uniform import no_label_notes

PRESETS = ("safe", "paper", "paper-vision-flan")
_COLUMN = "column:"
_IN = " / "


@dataclass(frozen=True, kw_only=True)
class CentralitySampler(Sampler):
    """The images that lie closest to their neighbours, cluster by cluster, task by task (PreSel, arXiv 2503.07591).

    Task i gets n_i = w_i x (budget - rows given by `include`); k-means on the features of all its rows, the included
    ones too, makes its clusters; of the rows A_ic of cluster c that aren't included, n_ic = n_i |A_ic| / |A_i| are
    taken, those of the largest `NeighbourCentrality`, ties by row key. Selection.score is that centrality.

    Where the published scripts and good sense differ, `preset` decides:

    * n_i: "paper" (the script for LLaVA) rounds down and gives the whole remainder to the task of the largest weight,
      though it may lack the rows; "paper-vision-flan" uses the largest remainder, caps at all rows of the task, also
      the included, and hands the overflow out one by one (a budget in tokens is capped at what the task has); "safe"
      (default) uses the largest remainder, caps at what the task has and divides the overflow by weight until it is
      placed.
    * n_ic: the paper presets round half to even and correct by cluster size, counting included rows; "safe" uses the
      largest remainder.
    * a shortfall: the paper presets fill it by a uniform draw from all rows (reason "filled"); "safe" has none while
      the pool has rows.
    * near-duplicates: a clump of them is the densest place of its cluster, and the paper presets take all of it; "safe"
      takes one row of each group of near-duplicates and comes back to the others when the cluster is exhausted.

    Attributes:
        features: Column of vectors, as `ImageEmbedding` adds.
        task: Column of the task labels.
        weights: Every task's weight, as `task_weights` computes; None for weights by the tasks' rows.
        clusters: Clusters of a task: a share of its rows below 1, or a number; or "column:NAME" for clusters that are
            made already.
        neighbours: How many nearest neighbours centrality looks at.
        preset: "safe", "paper" or "paper-vision-flan".
        near_duplicate: Cosine similarity from which "safe" takes two rows of a cluster for near-duplicates.
        allocation: How the budget is divided over tasks; None for the preset's rule.

    Cost: k-means over the vectors of each task, then all pairs inside a cluster; no n x n matrix.
    """

    reason: ClassVar[str] = "central"
    included: ClassVar[str] = "reference"
    features: str = "embedding"
    task: str = "row_task"
    weights: Mapping[str, float] | None = None
    clusters: float | str = 0.01
    neighbours: int = 5
    preset: Literal["safe", "paper", "paper-vision-flan"] = "safe"
    near_duplicate: float = 0.95
    allocation: Allocation | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.preset not in PRESETS:
            raise UnknownName("preset", self.preset, PRESETS)
        if isinstance(self.clusters, str) and not (self.clusters.startswith(_COLUMN) and self._given):
            raise UsageError(f"clusters is a share, a number or 'column:NAME', not {self.clusters!r}")
        if not self._given:
            KMeansGroups(k=self.clusters)
        NeighbourCentrality(k=self.neighbours)
        if not 0 < self.near_duplicate <= 1:
            raise UsageError(f"near_duplicate is {self.near_duplicate}; it is a cosine similarity above 0, up to 1")
        if self.allocation is None:
            object.__setattr__(self, "allocation", Allocation.preset(self.preset, self.weights or "proportional"))

    def _columns(self) -> list[str]:
        return [self.task, self.features, *([self._given] if self._given else [])]

    @property
    def _given(self) -> str:
        return self.clusters.removeprefix(_COLUMN) if isinstance(self.clusters, str) else ""

    def _plan(self, rows: ScoredRows, scores: np.ndarray | None, free: np.ndarray, seed: int, left: int | None) -> Plan:
        vectors = feature_matrix(rows.table, self.features)
        vectors[rows.statuses() != ""] = np.nan
        codes, names, unlabelled = rows.labels(self.task)
        labels = [names[code] for code in codes]
        if self._given:
            groups = _given_groups(rows, self._given, labels, vectors)
        else:
            groups = KMeansGroups(k=self.clusters).assign(vectors, rows.address_list, labels, seed=seed)
        usable = free[has_vector(vectors[free])]
        available = np.zeros(len(rows), dtype=bool)
        available[usable] = True
        centrality = NeighbourCentrality(k=self.neighbours).score(vectors, groups.codes, available)
        order = usable[np.lexsort((usable, -np.nan_to_num(centrality[usable], nan=-np.inf), groups.codes[usable]))]
        if self.preset == "safe":
            order = _spread(order, groups.codes, vectors, self.near_duplicate)
        lacking = len(free) - len(usable)
        return Plan(
            order,
            groups.codes,
            groups.names,
            _cluster_weights(groups, order),
            no_label_notes(rows, self.task, unlabelled),
            {"no embedding": lacking} if lacking else {},
            centrality,
        )

    def _quotas(self, plan: Plan, sizes: np.ndarray, total: int) -> tuple[np.ndarray, np.ndarray]:
        owner = [name.rpartition(_IN)[0] for name in plan.names]
        tasks = sorted(set(owner))
        place = {task: at for at, task in enumerate(tasks)}
        of = np.array([place[task] for task in owner], dtype=np.int64)
        everything = np.bincount(plan.codes[plan.codes >= 0], minlength=len(owner))
        has = np.bincount(of, weights=sizes, minlength=len(tasks)).astype(np.int64)
        holds = np.bincount(of, weights=everything, minlength=len(tasks)).astype(np.int64)
        in_rows = np.array_equal(sizes, np.bincount(plan.codes[plan.order], minlength=len(owner)))
        also_included = self.preset == "paper-vision-flan" and in_rows
        caps = dict(zip(tasks, (holds if also_included else has).tolist(), strict=True))
        weights = self.allocation.base_weights(caps)
        parts = self.allocation.allocate(caps, total=total, weights=weights)
        quota = np.zeros(len(owner), dtype=np.int64)
        for task, at in place.items():
            mine = of == at
            quota[mine] = self._of_task(min(parts[task], int(has[at])), sizes[mine], everything[mine])
        shares = np.array([weights[task] for task in tasks]) / max(sum(weights.values()), np.finfo(float).tiny)
        return quota, shares[of] * plan.factors

    def _of_task(self, total: int, sizes: np.ndarray, everything: np.ndarray) -> np.ndarray:
        """Divide a task's rows over its clusters."""
        if total == 0:
            return np.zeros_like(sizes)
        if self.preset != "safe":
            return half_even(ideal(sizes.astype(np.float64), total), sizes, total, order_by=everything)
        names = [f"{at:09d}" for at in range(len(sizes))]
        return np.array(
            list(Allocation().allocate(dict(zip(names, sizes.tolist(), strict=True)), total=total).values())
        )

    def _fill(self, rows: ScoredRows, plan: Plan, picked: np.ndarray, missing: int, seed: int) -> np.ndarray:
        if self.preset == "safe" or missing <= 0:
            return super()._fill(rows, plan, picked, missing, seed)
        left = np.setdiff1d(plan.order, picked)
        addresses = rows.address_list
        return left[random_order([addresses[at] for at in left.tolist()], seed=seed, stage="shortfall")][:missing]


def _given_groups(rows: ScoredRows, column: str, labels: list[str], vectors: np.ndarray) -> Groups:
    """The clusters that a column holds, kept apart by task."""
    codes, names, _ = rows.labels(column)
    plain = [name.replace(_IN, " ") for name in names]
    if len(set(plain)) < len(plain):
        raise UsageError(f"two clusters of column {column!r} differ only in {_IN!r} and a space; rename one of them")
    clusters = [plain[code] for code in codes]
    pairs = sorted({(label, cluster) for label, cluster in zip(labels, clusters, strict=True)})
    place = {pair: at for at, pair in enumerate(pairs)}
    of = np.array([place[pair] for pair in zip(labels, clusters, strict=True)], dtype=np.int64)
    of[~has_vector(vectors)] = -1
    return Groups(of, [_IN.join(pair) for pair in pairs], [label for label, _ in pairs])


def _cluster_weights(groups: Groups, order: np.ndarray) -> np.ndarray:
    """Every cluster's share of its task's rows that may be drawn."""
    sizes = np.bincount(groups.codes[order], minlength=len(groups.names)).astype(np.float64)
    owner = np.unique(np.array(groups.labels, dtype=object).astype(str), return_inverse=True)[1]
    whole = np.bincount(owner, weights=sizes, minlength=1)[owner] if len(owner) else sizes
    return np.divide(sizes, whole, out=np.zeros_like(sizes), where=whole > 0)


def _spread(order: np.ndarray, codes: np.ndarray, vectors: np.ndarray, limit: float) -> np.ndarray:
    """Put, in every cluster, the first row of each group of near-duplicates before all others of the groups."""
    first = np.ones(len(order), dtype=bool)
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    for members in np.split(np.arange(len(order)), starts[1:]):
        points = unit(vectors[order[members]])
        for at in range(len(members) - 1):
            if first[members[at]]:
                first[members[at + 1 :][points[at + 1 :] @ points[at] >= limit]] = False
    return order[np.lexsort((np.arange(len(order)), ~first, codes[order]))]
