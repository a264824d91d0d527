"""What sets two Selections apart: rows, groups, how they were chosen, and why one kept what the other didn't."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hf_select.sampling.selection import Selection

_NOT_SETTINGS = {"pool_rows", "included"}


@dataclass(frozen=True)
class Alone:
    """A row that one Selection has and the other hasn't.

    Attributes:
        key: Its address.
        rank: Its place in the pick order.
        group: Its group.
        score: Its score, where its sampler looks at one.
        reason: Why it was kept.
        why_not: What is known of why the other didn't.
    """

    key: str
    rank: int
    group: str
    score: float | None
    reason: str
    why_not: str


@dataclass(frozen=True)
class Difference:
    """Two Selections compared by row address.

    Attributes:
        only_here: Addresses in the first alone, in its pick order.
        only_there: Addresses in the second alone, in its pick order.
        both: How many rows both chose.
        moved: Group to (quota here, quota there) where they differ; None for a group that one side doesn't have.
        groups: Group to (rows here, rows there), for every group that rows were kept in.
        settings: Setting to (here, there) where the recipes differ, for the parts that both have; None for a setting
            that one side doesn't have.
    """

    only_here: tuple[str, ...]
    only_there: tuple[str, ...]
    both: int
    moved: dict[str, tuple[int | None, int | None]]
    groups: dict[str, tuple[int, int]]
    settings: dict[str, tuple[Any, Any]]

    @property
    def jaccard(self) -> float:
        """Rows in both by rows in either; 1.0 for two empty Selections."""
        union = self.both + len(self.only_here) + len(self.only_there)
        return self.both / union if union else 1.0

    def __str__(self) -> str:
        lines = [
            f"{self.both} rows in both, {len(self.only_here)} only here, {len(self.only_there)} only there "
            f"(Jaccard {self.jaccard:.3f})"
        ]
        lines += [f"  {name}: {here!r} here, {there!r} there" for name, (here, there) in self.settings.items()]
        lines += [f"  {group!r}: quota {here} here, {there} there" for group, (here, there) in self.moved.items()]
        return "\n".join(lines)


def difference(here: Selection, there: Selection) -> Difference:
    """Compare two Selections of the same pool."""
    mine, theirs = set(here.keys), set(there.keys)
    ours, others = ({quota.group: quota.quota for quota in side.quotas} for side in (here, there))
    kept = [Counter(side.table["group"].to_pylist()) for side in (here, there)]
    common = here.recipe.keys() & there.recipe.keys() - _NOT_SETTINGS
    settings = [_flat({k: v for k, v in side.recipe.items() if k in common}) for side in (here, there)]
    return Difference(
        tuple(key for key in here.keys if key not in theirs),
        tuple(key for key in there.keys if key not in mine),
        len(mine & theirs),
        _unequal(ours, others),
        {group: (kept[0][group], kept[1][group]) for group in sorted(kept[0].keys() | kept[1].keys())},
        _unequal(*settings),
    )


def alone(here: Selection, there: Selection) -> list[Alone]:
    """The rows that `here` has and `there` hasn't, in pick order, each with what is known of why not.

    A Selection holds no word about the rows it didn't take, so the answer comes from its groups and their quotas, and
    from the scores it kept where both rank by the same score.
    """
    theirs = set(there.keys)
    mine, others = ({quota.group: quota.quota for quota in side.quotas} for side in (here, there))
    spans = _spans(there) if _score_of(here) is not None and _score_of(here) == _score_of(there) else {}
    rows = [row for row in here.table.to_pylist() if row["key"] not in theirs]
    return [Alone(**row, why_not="; ".join(_why_not(row, mine, others, spans)) or "not known") for row in rows]


def _why_not(
    row: Mapping[str, Any],
    mine: Mapping[str, int],
    others: Mapping[str, int],
    spans: Mapping[str, tuple[float, float]],
) -> Iterator[str]:
    group, score = row["group"], row["score"]
    if group in mine and others and group not in others:
        yield "no such group there"
    if group in mine and group in others and others[group] < mine[group]:
        yield f"quota {others[group]:,} there, {mine[group]:,} here"
    if group in spans and score is not None:
        low, high = spans[group]
        place = "under" if score < low else "over" if score > high else "within"
        yield f"{place} the scores kept there, {low:.4g} to {high:.4g}"


def _score_of(selection: Selection) -> Any:
    settings = selection.recipe.get("settings")
    return settings.get("score") if isinstance(settings, Mapping) else None


def _spans(selection: Selection) -> dict[str, tuple[float, float]]:
    """Group -> lowest and highest score that was kept."""
    spans: dict[str, tuple[float, float]] = {}
    for group, score in zip(selection.table["group"].to_pylist(), selection.table["score"].to_pylist(), strict=True):
        if score is not None:
            low, high = spans.get(group, (score, score))
            spans[group] = (min(low, score), max(high, score))
    return spans


def _flat(recipe: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Settings inside settings with dotted names."""
    flat: dict[str, Any] = {}
    for name, value in recipe.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat


def _unequal(here: Mapping[str, Any], there: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    names = dict.fromkeys([*here, *there])
    return {name: (here.get(name), there.get(name)) for name in names if here.get(name) != there.get(name)}
