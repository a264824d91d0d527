"""GroupedSampler: groups by score, column, both or vectors; a quota for each by its rank; a draw inside each."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from hf_select.errors import UnknownName, UsageError
from hf_select.sampling.allocation import Allocation
from hf_select.sampling.bins import ascending, equal_count_bins, equal_width_bins, relative_ranks
from hf_select.sampling.columns import ScoredRows
from hf_select.sampling.draw import random_order
from hf_select.sampling.kmeans import KMeansGroups
from hf_select.sampling.members import Members
from hf_select.sampling.sampler import Plan, Sampler
from hf_select.sampling.uniform import no_label_notes

_COLUMN = "column:"
_CLUSTERS = "clusters:"
_CROSSED = "*score_bins"


@dataclass(frozen=True, kw_only=True)
class GroupedSampler(Sampler):
    """Grouped sampling by a score, our reading of MLLM-Selector's necessity-based grouped sampling (arXiv 2503.20502).

    The paper's rule is not public to us. This reading: rows that have a score and aren't chosen already are ranked by
    (score, row key) and cut into groups; group g weighs `w_g = base_g * (mean rank of g in (0, 1)) ** alpha`, where
    equal scores share their mean rank; the budget is divided by `allocation`; each group gives its quota by a uniform
    draw. With score bins of equal count this is q_g proportional to (mean rank) ** alpha.

    Attributes:
        score: A numeric column, or a scorer's prefix and a kind of `derived` ("loss", "seed_ifd", ...).
        groups: "score_bins"; "column:NAME" for the labels of a column ("column:row_task");
            "column:NAME*score_bins" for the score bins, cut over all rows, inside each label; or "clusters:NAME" for
            k-means on a column of vectors, of all rows with a score and those given by `include`.
        clusters: How many clusters: a number, or a share of the rows below 1.
        bins: How many score bins.
        bin_rule: "equal_count" or "equal_width".
        alpha: 0 gives the allocation's weights alone; larger prefers groups of high scores more, negative ones low.
        within: "uniform" draws inside a group, "top" takes its highest scores.
        drop_top: Share of the rows with the highest scores to leave out (label noise), rounded down.
        stage: Draws of different stages are independent even under one seed.
        allocation: Its weights are base_g: "equal" by default, so a label's size counts only as a cap;
            "proportional" multiplies by the group's rows.
    """

    reason: ClassVar[str] = "grouped"
    score: str
    groups: str = "score_bins"
    clusters: float = 20
    bins: int = 10
    bin_rule: Literal["equal_count", "equal_width"] = "equal_count"
    alpha: float = 1.0
    within: Literal["uniform", "top"] = "uniform"
    drop_top: float = 0.0
    stage: str = "grouped"
    allocation: Allocation = Allocation(weights="equal")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.groups != "score_bins" and not (self._label_column or self._vector_column):
            known = f"'score_bins', 'column:NAME', 'column:NAME{_CROSSED}' or 'clusters:NAME'"
            raise UsageError(f"groups is {known}, not {self.groups!r}")
        KMeansGroups(k=self.clusters)
        if self.bins < 1:
            raise UsageError(f"bins is a whole number of at least 1, not {self.bins}")
        if not math.isfinite(self.alpha):
            raise UsageError(f"alpha is a finite number, not {self.alpha}; 0 spreads the budget evenly over groups")
        if self.bin_rule not in ("equal_count", "equal_width"):
            raise UnknownName("bin rule", self.bin_rule, ("equal_count", "equal_width"))
        if self.within not in ("uniform", "top"):
            raise UnknownName("draw within groups", self.within, ("uniform", "top"))
        if not 0 <= self.drop_top < 1:
            raise UsageError(f"drop_top is a share of at least 0 and below 1, not {self.drop_top}")

    @property
    def _score(self) -> str:
        return self.score

    @property
    def _label_column(self) -> str:
        return self.groups.removeprefix(_COLUMN).removesuffix(_CROSSED) if self.groups.startswith(_COLUMN) else ""

    @property
    def _vector_column(self) -> str:
        return self.groups.removeprefix(_CLUSTERS) if self.groups.startswith(_CLUSTERS) else ""

    def _columns(self) -> list[str]:
        return [column for column in (self._label_column, self._vector_column) if column]

    def _plan(self, rows: ScoredRows, scores: np.ndarray | None, free: np.ndarray, seed: int, left: int | None) -> Plan:
        rejected: dict[str, int] = {}
        if self._vector_column:
            members = Members.read(rows, self._vector_column, free)
            free, rejected = members.at[members.free], members.rejected
        ranked = free[ascending(scores[free])]
        dropped = int(self.drop_top * ranked.size)
        ranked = ranked[: ranked.size - dropped]
        considered = np.full(len(rows), np.nan)
        considered[ranked] = scores[ranked]
        if self._vector_column:
            codes, names, notes = *self._clusters(rows, members, seed), []
        else:
            codes, names, notes = self._groups(rows, considered)
        at = np.sort(ranked)
        if self.within == "top":
            order = at[ascending(-scores[at])]
        else:
            addresses = rows.address_list
            order = at[random_order([addresses[i] for i in at.tolist()], seed=seed, stage=self.stage)]
        rank = relative_ranks(considered)
        counts = np.bincount(codes[ranked], minlength=len(names))
        sums = np.bincount(codes[ranked], weights=rank[ranked], minlength=len(names))
        factors = np.zeros(len(names))
        some = counts > 0
        factors[some] = (sums[some] / counts[some]) ** self.alpha
        return Plan(order, codes, names, factors, notes, rejected | ({"drop_top": dropped} if dropped else {}))

    def _clusters(self, rows: ScoredRows, members: Members, seed: int) -> tuple[np.ndarray, list[str]]:
        addresses = rows.address_list
        keys = [addresses[at] for at in members.at.tolist()]
        groups = KMeansGroups(k=self.clusters).assign(members.points, keys, seed=seed)
        codes = np.full(len(rows), -1, dtype=np.int64)
        codes[members.at] = groups.codes
        return codes, [f"cluster {name}" for name in groups.names]

    def _groups(self, rows: ScoredRows, considered: np.ndarray) -> tuple[np.ndarray, list[str], list[str]]:
        rule = equal_count_bins if self.bin_rule == "equal_count" else equal_width_bins
        digits = len(str(self.bins))
        bin_names = [f"bin {number:0{digits}d}" for number in range(1, self.bins + 1)]
        if not self._label_column:
            return rule(considered, self.bins), bin_names, []
        codes, names, unlabelled = rows.labels(self._label_column)
        notes = no_label_notes(rows, self._label_column, unlabelled)
        if not self.groups.endswith(_CROSSED):
            return codes, names, notes
        bins = rule(considered, self.bins)
        crossed = [f"{name} / {bin_name}" for name in names for bin_name in bin_names]
        return np.where(bins >= 0, codes * self.bins + bins, -1), crossed, notes
