"""The flags that every recipe of `hf-select run` has."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hf_select.cli.command import option
from hf_select.cli.fit_options import FitOptions
from hf_select.cli.pool_options import POOL_HELP, PoolOptions

if TYPE_CHECKING:
    from hf_select.recipes.pipeline import Pipeline, Source
    from hf_select.recipes.stages import RunFolder


@dataclass(frozen=True, kw_only=True)
class RecipeOptions(FitOptions, PoolOptions):
    """A pool, a model, a budget and a folder; how models run; a recipe adds its own choices."""

    pool: list[str] = option(help=POOL_HELP)
    model: str = option(help="Hub id or folder of the pretrained vision-language model")
    out: Path = option(help="folder of the run; the same command on it resumes")
    budget: str = option("15%", help='what may be kept: "15%", a number of rows, or "2M tokens"')
    revision: str | None = option(None, help="revision of the model")
    seed: int = option(0, help="decides the first subset, the draws and the order of training")
    final_fit: bool = option(False, help="also tune the model on the chosen subset")
    score_dtype: str = option("auto", help="precision of scoring: auto, float32 or bfloat16")
    device: str | None = option(None, help="where models run: cpu, cuda, cuda:1, mps; default the best there is")
    shards: int | None = option(None, help="into how many shards scoring is cut; a kill costs at most one a process")
    num_proc: int | None = option(None, help="processes that share scoring on a CPU")

    def pipeline(self, source: Source, folder: RunFolder) -> Pipeline:
        """Return the pipeline that these flags ask for."""
        from hf_select.recipes.pipeline import Pipeline

        return Pipeline(source, folder, device=self.device, shards=self.shards, num_proc=self.num_proc)


def number(value: float | None) -> str:
    """A score for a table."""
    return "-" if value is None else f"{value:.3f}"
