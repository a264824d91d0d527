"""How a budget is divided over groups: weights, a rounding rule, and what happens to rows a group doesn't have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hf_select.errors import UnknownName, UsageError
from hf_select.sampling.rounding import RULES, ideal

_OVERFLOW = ("redistribute", "round_robin", "allow_short")
_PRESETS = {
    "safe": ("largest_remainder", "redistribute"),
    "paper": ("floor_to_argmax", "allow_short"),
    "paper-vision-flan": ("largest_remainder", "round_robin"),
}


@dataclass(frozen=True)
class Allocation:
    """Divides a whole number over groups.

    Every rule is deterministic and independent of the order in which groups are given: ties go by fractional part,
    then by group name. A group never gets more than it has, and one of weight 0 gets nothing. With "redistribute"
    and "round_robin" the parts sum to exactly `min(total, what the groups of positive weight have)`.

    Attributes:
        weights: "proportional" to the groups' sizes, "equal", or a weight for every group.
        rounding: "largest_remainder": floor, then +1 by descending fractional part. "floor_to_argmax": floor, the
            remainder to the group of the largest weight. "floor_min1": floor but at least 1 where the total allows it.
            "half_even": Python's `round`, then one up or down in order of size.
        overflow: What a full group can't take: "redistribute" divides it again over the others by their weights until
            it is placed, "round_robin" hands it out one by one in order of group name, "allow_short" leaves it.
    """

    weights: Literal["proportional", "equal"] | Mapping[str, float] = "proportional"
    rounding: str = "largest_remainder"
    overflow: str = "redistribute"

    def __post_init__(self) -> None:
        if self.rounding not in RULES:
            raise UnknownName("rounding rule", self.rounding, RULES)
        if self.overflow not in _OVERFLOW:
            raise UnknownName("overflow rule", self.overflow, _OVERFLOW)
        if isinstance(self.weights, str) and self.weights not in ("proportional", "equal"):
            raise UnknownName("weights", self.weights, ("proportional", "equal"))

    @classmethod
    def preset(
        cls, name: str, weights: Literal["proportional", "equal"] | Mapping[str, float] = "proportional"
    ) -> Allocation:
        """A named pair of rounding and overflow rules.

        "safe" (largest remainder, redistributed until exact) is the default everywhere. "paper" is PreSel's script for
        LLaVA (arXiv 2503.07591: floor, remainder to the largest weight, no cap; here capped and reported short),
        "paper-vision-flan" its script for Vision-Flan (largest remainder, capped, overflow one by one).
        """
        if name not in _PRESETS:
            raise UnknownName("allocation preset", name, _PRESETS)
        rounding, overflow = _PRESETS[name]
        return cls(weights, rounding, overflow)

    def base_weights(self, sizes: Mapping[str, int]) -> dict[str, float]:
        """The weight of every group of `sizes` (not normalised).

        Raises:
            UsageError: A group without a weight, or a weight that is negative or not finite.
        """
        if self.weights == "equal":
            return dict.fromkeys(sizes, 1.0)
        if self.weights == "proportional":
            return {group: float(size) for group, size in sizes.items()}
        missing = [group for group in sizes if group not in self.weights]
        if missing:
            raise UsageError(f"{len(missing)} groups have no weight, such as {missing[0]!r}; give one for every group")
        return {group: float(self.weights[group]) for group in sizes}

    def allocate(
        self, sizes: Mapping[str, int], *, total: int, weights: Mapping[str, float] | None = None
    ) -> dict[str, int]:
        """Divide `total` over the groups.

        Args:
            sizes: What each group has (rows, or tokens); 0 is allowed.
            total: What to divide, at least 0.
            weights: Used in place of the field `weights`; one for every group, at least 0, needn't sum to 1.

        Returns:
            A whole number for every group, in the order of `sizes`. O(groups x redistributions).
        """
        given_weights = self.base_weights(sizes) if weights is None else weights
        names = sorted(sizes)
        size = np.array([int(sizes[name]) for name in names], dtype=np.int64)
        weight = np.array([float(given_weights[name]) for name in names], dtype=np.float64)
        bad = ~np.isfinite(weight) | (weight < 0)
        if bad.any():
            at = int(np.argmax(bad))
            raise UsageError(f"group {names[at]!r} has weight {weight[at]}; a weight is a finite number of at least 0")
        if total < 0 or (size < 0).any():
            raise UsageError("a total and the sizes of groups are at least 0")
        part = self._divide(size, weight, total)
        at = {name: int(value) for name, value in zip(names, part, strict=True)}
        return {name: at[name] for name in sizes}

    def _divide(self, size: np.ndarray, weight: np.ndarray, total: int) -> np.ndarray:
        result = np.zeros_like(size)
        open_ = weight > 0
        left = total
        if self.overflow == "redistribute":
            open_ &= size > 0
            left = min(total, int(size[open_].sum()))
        while left > 0 and open_.any():
            index = np.flatnonzero(open_)
            part = RULES[self.rounding](ideal(weight[index], left), size[index], left)
            full = part > size[index]
            if not full.any() or self.overflow != "redistribute":
                result[index] = np.minimum(part, size[index])
                break
            result[index[full]] = size[index[full]]
            left -= int(size[index[full]].sum())
            open_[index[full]] = False
        if self.overflow == "round_robin":
            _round_robin(result, np.where(weight > 0, size, 0), total - int(result.sum()))
        return result


def _round_robin(result: np.ndarray, size: np.ndarray, left: int) -> None:
    while left > 0:
        room = np.flatnonzero(result < size)
        if room.size == 0:
            return
        step = min(left // room.size, int((size - result)[room].min()))
        if step:
            result[room] += step
            left -= step * room.size
        else:
            result[room[:left]] += 1
            left = 0
