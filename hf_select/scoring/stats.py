"""What a call of `score` did: shards computed and found, rows by status, time."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.getLogger(__name__)


@dataclass
class ScorerStats:
    """What one scorer did.

    Attributes:
        name: The scorer's class.
        computed: Shards that were scored now.
        reused: Shards that were found in the cache.
        computed_rows: Rows that were scored now.
        seconds: Wall time, looking things up included.
        statuses: For each status column, how many rows have which status.
    """

    name: str
    computed: int = 0
    reused: int = 0
    computed_rows: int = 0
    seconds: float = 0.0
    statuses: dict[str, dict[str, int]] = field(default_factory=dict)

    def count(self, columns: Dataset) -> None:
        """Count the rows of every status column (`row_status`, `loss_status`, ...)."""
        for name in columns.column_names:
            if name.endswith("status"):
                self.statuses[name] = dict(Counter(columns[name]).most_common())

    @property
    def bad(self) -> int:
        """Rows of the status column that has the most rows without a usable result."""
        return max((sum(n for s, n in counts.items() if s != "ok") for counts in self.statuses.values()), default=0)

    def render(self) -> str:
        """Say it in one line."""
        found = f"{self.computed + self.reused} shards, {self.reused} from the cache"
        counts = "".join(
            f"; {column}: " + ", ".join(f"{n} {status}" for status, n in statuses.items())
            for column, statuses in self.statuses.items()
        )
        return f"{self.name}: {found}, {self.computed_rows} rows scored in {self.seconds:.1f} s{counts}"


@dataclass
class ScoreStats:
    """What a call of `score` did; pass an empty one as `stats=` to have it filled.

    Attributes:
        rows: Rows of the pool.
        scorers: One entry a scorer, `RowFacts` first where it ran.
    """

    rows: int = 0
    scorers: list[ScorerStats] = field(default_factory=list)

    def add(self, part: ScorerStats, columns: Dataset) -> None:
        """Keep what a scorer did, and say it in the log: as a warning if rows have no result."""
        part.count(columns)
        self.scorers.append(part)
        logger.log(logging.WARNING if part.bad else logging.INFO, "%s", part.render())

    @property
    def computed(self) -> int:
        """Shards that were scored now, over all scorers but `RowFacts`."""
        return sum(part.computed for part in self.scorers if part.name != "RowFacts")

    @property
    def reused(self) -> int:
        """Shards that were found in the cache, over all scorers but `RowFacts`."""
        return sum(part.reused for part in self.scorers if part.name != "RowFacts")

    def render(self) -> str:
        """One line a scorer."""
        return "\n".join(part.render() for part in self.scorers)
