"""What all samplers share: reading, screening, quotas, picking. A sampler adds a `_plan`."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import pyarrow as pa

from hf_select.errors import UnknownName, UsageError
from hf_select.sampling.allocation import Allocation
from hf_select.sampling.budget import Budget
from hf_select.sampling.columns import ScoredRows
from hf_select.sampling.picking import pick_rows, pick_tokens
from hf_select.sampling.selection import Quota, Selection, selection_table

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.getLogger(__name__)

SEED = "seed"
FILLED = "filled"


@dataclass(frozen=True)
class Plan:
    """A sampler's decision before any budget.

    Attributes:
        order: int64, positions of the rows that may be drawn, in draw order.
        codes: int64 of shape (rows,), the group of every row; any number where a row can't be drawn.
        names: The groups' names, ascending.
        factors: float64 of shape (groups,), multiplies the allocation's weights.
        notes: Sentences for the Selection.
        rejected: Rows the plan leaves out, by reason.
        scores: float64 of shape (rows,), what the plan ranked by, where that is no column.
    """

    order: np.ndarray
    codes: np.ndarray
    names: list[str]
    factors: np.ndarray
    notes: list[str] = field(default_factory=list)
    rejected: dict[str, int] = field(default_factory=dict)
    scores: np.ndarray | None = None


@dataclass(frozen=True, kw_only=True)
class Sampler(ABC):
    """A whole-pool decision: scored columns, a budget and a seed give a `Selection`. Looks at no picture or text.

    Attributes:
        allocation: How the budget is divided over the sampler's groups.
        duplicates: "keep" exact copies as rows of their own, or "drop" all but one copy of each row.
        cost: The column of token counts that a budget in tokens adds up.
    """

    reason: ClassVar[str]
    included: ClassVar[str] = SEED
    allocation: Allocation = Allocation()
    duplicates: Literal["keep", "drop"] = "keep"
    cost: str = "n_tokens"

    def __post_init__(self) -> None:
        if self.duplicates not in ("keep", "drop"):
            raise UnknownName("way with duplicates", self.duplicates, ("keep", "drop"))

    def select(
        self, scored: Dataset | pa.Table, budget: Budget | str | int, *, seed: int = 0, include: Iterable[str] = ()
    ) -> Selection:
        """Choose rows.

        Rows whose status isn't "ok" and rows without the score are never chosen; they are counted in `rejected`. Ties
        go by row key, and the order of the pool's rows changes nothing. Fewer rows than asked are a note.

        Args:
            scored: A pool with `row_key` and the columns the sampler looks at (`hs.score` adds them).
            budget: A share of all of the pool's rows, rows, or tokens.
            seed: For samplers that draw.
            include: Addresses of rows that are chosen already (a seed subset). They count inside the budget, come
                first, and are not drawn again.

        Returns:
            The Selection. O(rows log rows); a million rows take seconds.

        Raises:
            UsageError: A column that isn't there, or `include` rows that the pool lacks or that exceed the budget.
        """
        budget = Budget(budget)
        in_tokens = budget.kind == "tokens"
        columns = [*self._columns(), *([self.cost] if in_tokens else [])]
        rows = ScoredRows.read(scored, columns, score=self._score)
        scores, reasons = (None, np.full(len(rows), "", dtype=object)) if not self._score else rows.scores(self._score)
        cost = rows.numbers(self.cost) if in_tokens else None
        seeds = _positions(rows, include)
        notes: list[str] = []
        free, rejected = self._screen(rows, reasons, cost, seeds, notes)
        left = None if in_tokens else _less(budget.rows(len(rows)), len(seeds), "rows")
        plan = self._plan(replace(rows, taken=seeds), scores, free, seed, left)
        notes += plan.notes
        sizes = np.bincount(plan.codes[plan.order], minlength=len(plan.names))
        if left is not None:
            quota, weights = self._quotas(plan, sizes, left)
            picked = pick_rows(plan.order, plan.codes, quota)
            filled = self._fill(rows, plan, picked, left - len(picked), seed)
        else:
            spent = cost[seeds].sum()
            if np.isnan(spent):
                raise UsageError(f"rows to include have no number of tokens in column {self.cost!r}")
            left_tokens = _less(budget.amount, int(spent), "tokens")
            tokens = np.bincount(plan.codes[plan.order], weights=cost[plan.order], minlength=len(plan.names))
            quota, weights = self._quotas(plan, tokens.astype(np.int64), left_tokens)
            whole = np.nan_to_num(cost).astype(np.int64)
            picked = pick_tokens(plan.order, plan.codes, whole, quota, left_tokens)
            filled = np.empty(0, dtype=np.int64)
        reasons = [self.included] * len(seeds) + [self.reason] * len(picked) + [FILLED] * len(filled)
        picked = np.concatenate([picked, filled])
        quotas = _quota_table(plan, sizes, weights, quota, picked, cost)
        unspent = None if left is not None else left_tokens
        short = _shortfalls(budget, len(rows), len(seeds) + len(picked), quotas, unspent)
        for note in short:
            logger.warning(note)
        return Selection(
            self._table(rows, scores if plan.scores is None else plan.scores, seeds, picked, plan, reasons),
            quotas,
            {
                **self._recipe(),
                "budget": str(budget),
                "seed": int(seed),
                "pool_rows": len(rows),
                "included": len(seeds),
            },
            (*notes, *short),
            {**rejected, **plan.rejected},
        )

    def columns_of(self, scored: Dataset | pa.Table, budget: Budget | str | int) -> pa.Table:
        """The columns that `select` looks at with this budget, rows sorted by address: enough to choose again."""
        costs = [self.cost] if Budget(budget).kind == "tokens" else []
        return ScoredRows.read(scored, [*self._columns(), *costs], score=self._score).table

    @abstractmethod
    def _plan(self, rows: ScoredRows, scores: np.ndarray | None, free: np.ndarray, seed: int, left: int | None) -> Plan:
        """Order and group the rows at the positions `free` (ascending).

        `left` is how many rows may still be drawn, for plans that depend on it; None for a budget in tokens.
        """

    def _fill(self, rows: ScoredRows, plan: Plan, picked: np.ndarray, missing: int, seed: int) -> np.ndarray:
        """Positions of further rows where the quotas left the budget `missing` rows short; none by default."""
        return np.empty(0, dtype=np.int64)

    @property
    def _score(self) -> str | None:
        return None

    def _columns(self) -> list[str]:
        return []

    def _screen(
        self, rows: ScoredRows, reasons: np.ndarray, cost: np.ndarray | None, seeds: np.ndarray, notes: list[str]
    ) -> tuple[np.ndarray, dict[str, int]]:
        status = rows.statuses()
        reasons = np.where(status != "", status, reasons)
        if cost is not None:
            reasons[(reasons == "") & ~(cost >= 0)] = "no token count"
        usable = reasons == ""
        usable[seeds] = False
        copies = int((rows.copy != np.arange(len(rows))).sum())
        if copies and self.duplicates == "drop":
            kept = np.full(len(rows), len(rows), dtype=np.int64)
            at = np.flatnonzero(usable)
            np.minimum.at(kept, rows.copy[at], at)
            kept[rows.copy[seeds]] = -1
            twins = at[kept[rows.copy[at]] != at]
            reasons[twins] = "duplicate"
            usable[twins] = False
        elif copies:
            notes.append(f"{copies} rows are exact copies of other rows; they count as rows (duplicates='keep')")
        counted = np.delete(reasons, seeds)
        return np.flatnonzero(usable), dict(sorted(Counter(counted[counted != ""].tolist()).items()))

    def _quotas(self, plan: Plan, sizes: np.ndarray, total: int) -> tuple[np.ndarray, np.ndarray]:
        size = dict(zip(plan.names, sizes.tolist(), strict=True))
        base = self.allocation.base_weights(size)
        weight = {name: base[name] * factor for name, factor in zip(plan.names, plan.factors.tolist(), strict=True)}
        quota = self.allocation.allocate(size, total=total, weights=weight)
        weights = np.array([weight[name] for name in plan.names], dtype=np.float64)
        whole = weights.sum()
        return np.array([quota[name] for name in plan.names], dtype=np.int64), weights / whole if whole > 0 else weights

    def _table(
        self,
        rows: ScoredRows,
        scores: np.ndarray | None,
        seeds: np.ndarray,
        picked: np.ndarray,
        plan: Plan,
        reasons: list[str],
    ) -> pa.Table:
        chosen = np.concatenate([seeds, picked])
        names = np.array(plan.names, dtype=object)
        groups = [self.included] * len(seeds) + (names[plan.codes[picked]].tolist() if len(picked) else [])
        keys = rows.addresses.take(pa.array(chosen))
        return selection_table(keys, groups, None if scores is None else scores[chosen], reasons)

    def _recipe(self) -> dict[str, Any]:
        settings = {f.name: getattr(self, f.name) for f in fields(self)}
        return {"sampler": type(self).__name__, "settings": {k: _settings(v) for k, v in settings.items()}}


def _settings(value: Any) -> Any:
    if is_dataclass(value):
        return {f.name: _settings(getattr(value, f.name)) for f in fields(value)}
    return dict(value) if isinstance(value, Mapping) else value


def _positions(rows: ScoredRows, include: Iterable[str]) -> np.ndarray:
    keys = list(include)
    strange = next((key for key in keys if not isinstance(key, str)), None)
    if strange is not None:
        kind = "boolean mask" if isinstance(strange, bool | np.bool_) else type(strange).__name__
        raise UsageError(f"include takes row keys (text), not a {kind}; give selection.keys")
    if not keys:
        return np.empty(0, dtype=np.int64)
    place = {address: position for position, address in enumerate(rows.address_list)}
    missing = [key for key in keys if key not in place]
    if missing:
        raise UsageError(f"{len(missing)} of {len(keys)} rows to include are not in the pool, such as {missing[0]!r}")
    twice = [key for key, n in Counter(keys).items() if n > 1]
    if twice:
        raise UsageError(f"{len(twice)} rows to include are named more than once, such as {twice[0]!r}")
    return np.array([place[key] for key in keys], dtype=np.int64)


def _less(budget: int, spent: int, unit: str) -> int:
    if spent > budget:
        raise UsageError(f"the rows to include are {spent} {unit}, more than the budget of {budget}; raise the budget")
    return budget - spent


def _quota_table(
    plan: Plan, sizes: np.ndarray, weights: np.ndarray, quota: np.ndarray, picked: np.ndarray, cost: np.ndarray | None
) -> tuple[Quota, ...]:
    groups = len(plan.names)
    rows = np.bincount(plan.codes[picked], minlength=groups)
    used = [None] * groups
    if cost is not None:
        used = np.bincount(plan.codes[picked], weights=cost[picked], minlength=groups).astype(np.int64).tolist()
    columns = (plan.names, sizes.tolist(), weights.tolist(), quota.tolist(), rows.tolist(), used)
    return tuple(Quota(*values) for values in zip(*columns, strict=True))


def _shortfalls(
    budget: Budget, pool_rows: int, chosen: int, quotas: tuple[Quota, ...], tokens_left: int | None
) -> list[str]:
    notes = []
    if pool_rows == 0:
        notes.append("the pool is empty: nothing to choose from")
    elif budget.kind == "rows" and budget.amount > pool_rows:
        notes.append(f"the budget of {budget} is larger than the pool of {pool_rows} rows: every usable row is taken")
    if tokens_left is None:
        asked = int(budget.amount) if budget.kind == "rows" else budget.rows(pool_rows)
        if chosen < asked:
            notes.append(f"{asked - chosen} short: {asked} rows asked, {chosen} could be chosen")
    else:
        unused = tokens_left - sum(quota.tokens or 0 for quota in quotas)
        if unused:
            notes.append(f"{unused} of {budget} are left over: the next row of no group fits")
    nothing = [quota.group for quota in quotas if quota.picked == 0 and quota.available > 0]
    if nothing and chosen:
        some = ", ".join(nothing[:10]) + (", ..." if len(nothing) > 10 else "")
        notes.append(f"{len(nothing)} of {len(quotas)} groups get no row: {some}")
    return notes
