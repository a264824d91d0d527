"""The flags that say which pool to read and how; shared by every command that reads one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hf_select.cli.command import option

if TYPE_CHECKING:
    from hf_select.recipes.pipeline import Source

POOL_HELP = "Hub id (org/name[@revision]), folder, or JSON/JSONL/Parquet files of the pool"


@dataclass(frozen=True, kw_only=True)
class PoolOptions:
    """How a pool is read; a command adds `pool` itself, as an argument or as a flag."""

    split: str | None = option(None, help="split of the pool")
    pool_config: str | None = option(None, help="configuration (subset) of a Hub pool")
    pool_revision: str | None = option(None, help="revision of a Hub pool")
    schema: str | None = option(None, help="the pool's schema, where recognising it by its columns is not wanted")
    task_field: str | None = option(None, help="column that holds the task label")
    image_root: str | None = option(None, help="folder that image paths start from")

    allow_urls: bool = option(False, help="fetch pictures named by public https URLs; else they are refused")

    def source(self, pool: list[str]) -> Source:
        """Return what `Pipeline` reads the pool with."""
        from hf_select.pool.view import PoolView
        from hf_select.recipes.pipeline import Source

        return Source(
            pool=pool[0] if len(pool) == 1 else pool,
            split=self.split,
            config=self.pool_config,
            revision=self.pool_revision,
            view=PoolView(self.schema, self.task_field, self.image_root, self.allow_urls),
        )
