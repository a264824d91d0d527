"""What the recipes of one score share: which part of its range is kept, and whether tasks share the budget."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from hf_select.errors import UnknownName, UsageError
from hf_select.recipes.recipe import Models, SampledRecipe

if TYPE_CHECKING:
    from hf_select.sampling.ranked import Ranked
    from hf_select.scoring.scorer import Scorer

Keep = Literal["top", "middle", "bottom"]
KEEPS = ("top", "middle", "bottom")


@dataclass(frozen=True, kw_only=True)
class RankedRecipe(SampledRecipe):
    """A recipe that keeps one part of the range of one score.

    Attributes:
        score: The column, or kind of `derived`, that ranks rows.
        keep: "top", "middle" (nearest to the centre of `window` first) or "bottom".
        window: Lowest and highest percentile that "middle" may choose, in [0, 1], in each group on its own.
        group: A column whose labels share the budget by size and are ranked on their own ("row_task"), or None.
        duplicates: "drop" all but one copy of each row, or "keep" them.
    """

    score: ClassVar[str]
    keep: Keep = "top"
    window: tuple[float, float] = (0.0, 1.0)
    group: str | None = None
    duplicates: Literal["drop", "keep"] = "drop"

    def __post_init__(self) -> None:
        if self.keep not in KEEPS:
            raise UnknownName("part to keep", self.keep, KEEPS)
        if not isinstance(self.window, list | tuple) or len(self.window) != 2:
            raise UsageError(f"a window is two percentiles, such as 0.25 and 0.75, not {self.window!r}")
        object.__setattr__(self, "window", tuple(self.window))
        if self.keep != "middle" and self.window != (0.0, 1.0):
            raise UsageError(f"a window belongs to keep='middle', not to keep={self.keep!r}")
        self.sampler()

    @abstractmethod
    def scorers(self, models: Models) -> tuple[Scorer, ...]:
        """The scorer of `score`."""

    def sampler(self) -> Ranked:
        """The decision, once the score is there."""
        from hf_select.sampling.ranked import Bottom, Middle, Top

        settings = {"score": self.score, "group": self.group, "duplicates": self.duplicates}
        if self.keep == "middle":
            return Middle(window=self.window, **settings)
        return (Top if self.keep == "top" else Bottom)(**settings)
