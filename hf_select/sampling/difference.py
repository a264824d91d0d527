"""What sets two Selections apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hf_select.sampling.selection import Selection


@dataclass(frozen=True)
class Difference:
    """Two Selections compared by row address.

    Attributes:
        only_here: Addresses in the first alone, in its pick order.
        only_there: Addresses in the second alone, in its pick order.
        both: How many rows both chose.
        moved: Group to (quota here, quota there) where they differ; None for a group that one side doesn't have.
    """

    only_here: tuple[str, ...]
    only_there: tuple[str, ...]
    both: int
    moved: dict[str, tuple[int | None, int | None]]

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
        lines += [f"  {group!r}: quota {here} here, {there} there" for group, (here, there) in self.moved.items()]
        return "\n".join(lines)


def difference(here: Selection, there: Selection) -> Difference:
    """Compare two Selections of the same pool."""
    mine, theirs = set(here.keys), set(there.keys)
    ours = {quota.group: quota.quota for quota in here.quotas}
    others = {quota.group: quota.quota for quota in there.quotas}
    groups = list(dict.fromkeys([*ours, *others]))
    return Difference(
        tuple(key for key in here.keys if key not in theirs),
        tuple(key for key in there.keys if key not in mine),
        len(mine & theirs),
        {g: (ours.get(g), others.get(g)) for g in groups if ours.get(g) != others.get(g)},
    )
