"""FarthestPointSampler: DICS's choice: the best rows by a score, thinned out to those far from each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hf_select.errors import UsageError
from hf_select.sampling.bins import ascending
from hf_select.sampling.columns import ScoredRows
from hf_select.sampling.members import Members
from hf_select.sampling.sampler import Plan, Sampler
from hf_select.sampling.uniform import ALL

_DIGITS = 10
"""Squared distances that agree to this many digits of the largest norm's square are equal."""

_AHEAD = 512
"""Rows that are looked at before all of them are brought up to date."""

_BLOCK = 8192
"""Rows whose distances are computed at once."""


@dataclass(frozen=True, kw_only=True)
class FarthestPointSampler(Sampler):
    """The best rows by a score, then those of them that are far from each other (DICS's sampling).

    With m rows that have a score and a vector, n of them still to choose and p = n / m:

    * p < 1/2: of the 2n rows of the highest scores, n by farthest-point sampling;
    * p = 1/2: the n rows of the highest scores;
    * p > 1/2: the 2n - m rows of the highest scores, and of the others m - n by farthest-point sampling.

    Farthest-point sampling takes, again and again, the row whose Euclidean distance to the nearest row chosen so far is
    largest. Rows that are chosen already (given by `include`, or kept when p > 1/2) count; where there are none it
    starts at the vector of the largest norm. Ties go by row key. Selection.score is the score.

    Attributes:
        score: A numeric column, or a scorer's prefix and a kind of `derived` ("dic").
        features: Column of vectors, as `HiddenEmbedding` adds; used as they are, not normalised.

    Cost: 2 x n x min(2n, m) x d floating-point operations; no matrix of all pairs.

    Raises:
        UsageError: On `select`, for a budget in tokens: the rule needs a number of rows.
    """

    reason: ClassVar[str] = "far"
    score: str = "dic"
    features: str = "last_hidden"

    @property
    def _score(self) -> str:
        return self.score

    def _columns(self) -> list[str]:
        return [self.features]

    def _plan(self, rows: ScoredRows, scores: np.ndarray | None, free: np.ndarray, seed: int, left: int | None) -> Plan:
        if left is None:
            raise UsageError("FarthestPointSampler needs to know how many rows to choose: give a share or rows")
        members = Members.read(rows, self.features, free)
        drawable = np.flatnonzero(members.free)
        best = drawable[ascending(-scores[members.at[drawable]])]
        n = min(left, len(best))
        keep = n if 2 * n == len(best) else max(0, 2 * n - len(best))
        pool = np.sort(best[keep : max(keep, min(2 * n, len(best)))])
        chosen = np.concatenate([np.flatnonzero(~members.free), best[:keep]])
        far = pool[farthest_points(members.points[pool], n - keep, members.points[chosen])]
        drawn = np.concatenate([best[:keep], far])
        order = members.at[np.concatenate([drawn, best[~np.isin(best, drawn)]])]
        return Plan(order, np.zeros(len(rows), dtype=np.int64), [ALL], np.ones(1), rejected=members.rejected)


def farthest_points(points: np.ndarray, n: int, chosen: np.ndarray | None = None) -> np.ndarray:
    """Choose points one by one, each the farthest from its nearest chosen one.

    Distances to chosen points only shrink, so the largest of them, seen a few points ago, bound all others: the next
    points come from the `_AHEAD` farthest until one of those falls to the bound, and only then are all brought up to
    date, by one matrix product. The choice is that of the plain loop.

    Args:
        points: Float of shape (rows, d), finite.
        n: How many, at most the rows.
        chosen: Float of shape (m, d): points that are chosen already; without any, the largest norm comes first.

    Returns:
        int64 of shape (n,), rows in the order of choice; equal distances by row.
    """
    if n == 0:
        return np.empty(0, dtype=np.int64)
    start = np.empty((0, points.shape[1])) if chosen is None else chosen.astype(np.float64)
    norms = np.square(points, dtype=np.float64).sum(axis=1)
    middle = points.mean(axis=0, dtype=np.float64)
    scale = np.sqrt(max(norms.max(), np.square(start).sum(axis=1).max(initial=0))) or 1.0
    far = _Distances((points - middle) / scale)
    picked = np.empty(n, dtype=np.int64)
    done = 0
    if len(start):
        far.lower((start - middle) / scale)
    else:
        picked[0] = np.argmax(np.round(norms / scale**2, _DIGITS))
        far.choose(picked[:1])
        done = 1
    while done < n:
        front = np.argsort(-far.nearest, kind="stable")
        bound = far.nearest[front[_AHEAD]] if len(front) > _AHEAD else -np.inf
        front = np.sort(front[:_AHEAD])
        near = far.of(front)
        since = done
        while done < n:
            at = int(np.argmax(near.nearest))
            if done > since and near.nearest[at] <= bound:
                break
            picked[done] = front[at]
            near.choose(np.array([at]))
            done += 1
        far.choose(picked[since:done])
    return picked


class _Distances:
    """Rounded squared distances of points to the nearest of those chosen so far; -1 for the chosen ones."""

    def __init__(self, points: np.ndarray) -> None:
        self.points = points
        self.squares = np.square(points).sum(axis=1)
        self.nearest = np.full(len(points), np.inf)

    def of(self, rows: np.ndarray) -> _Distances:
        """The same for some of the points."""
        some = _Distances(self.points[rows])
        some.nearest = self.nearest[rows]
        return some

    def choose(self, rows: np.ndarray) -> None:
        """Add some of the points to the chosen ones."""
        self.lower(self.points[rows])
        self.nearest[rows] = -1

    def lower(self, chosen: np.ndarray) -> None:
        """Bring the distances up to date with further chosen points."""
        for some in np.split(chosen, range(_AHEAD, len(chosen), _AHEAD)):
            squares = np.square(some).sum(axis=1)
            for at in range(0, len(self.points), _BLOCK):
                rows = slice(at, at + _BLOCK)
                found = (squares - 2 * (self.points[rows] @ some.T)).min(axis=1) + self.squares[rows]
                found = np.round(np.maximum(found, 0), _DIGITS)
                self.nearest[rows] = np.minimum(self.nearest[rows], found)
