"""The flags that every recipe of `hf-select run` has."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from hf_select.cli.command import option
from hf_select.cli.fit_options import FitOptions
from hf_select.cli.pool_options import POOL_HELP, PoolOptions

if TYPE_CHECKING:
    from hf_select.recipes.pipeline import Pipeline, Source
    from hf_select.recipes.stages import RunFolder

_NOT_SHOWN = ("out", "device", "shards", "num_proc", "image_root", "annotator_concurrency", "annotator_timeout")


@dataclass(frozen=True, kw_only=True)
class RecipeOptions(FitOptions, PoolOptions):
    """A pool, a model, a budget and a folder; how models run; a recipe adds its own choices."""

    recipe: ClassVar[str]

    pool: list[str] = option(help=POOL_HELP)
    model: str = option(help="Hub id or folder of the pretrained vision-language model")
    out: Path = option(help="folder of the run; the same command on it resumes")
    budget: str = option("15%", help='what may be kept: "15%", a number of rows, or "2M tokens"')
    revision: str | None = option(None, help="revision of the model")
    without: Path | None = option(None, help="leave out the rows that `hf-select overlap --exclude` found")
    seed: int = option(0, help="decides the first subset, the draws and the order of training")
    final_fit: bool = option(False, help="also tune the model on the chosen subset")
    score_dtype: str = option("auto", help="precision of scoring: auto, float32 or bfloat16")
    device: str | None = option(None, help="where models run: cpu, cuda, cuda:1, mps; default the best there is")
    shards: int | None = option(None, help="into how many shards scoring is cut; a kill costs at most one a process")
    num_proc: int | None = option(None, help="processes that share scoring on a CPU")

    def pipeline(self, source: Source, folder: RunFolder) -> Pipeline:
        """Return the pipeline that these flags ask for."""
        from hf_select.recipes.pipeline import Pipeline
        from hf_select.sampling.left_out import read_left_out

        return Pipeline(
            source,
            folder,
            device=self.device,
            shards=self.shards,
            num_proc=self.num_proc,
            about={"command": self.command()} | self._pool_parts(source),
            without=None if self.without is None else read_left_out(self.without),
        )

    def command(self) -> str:
        """The command line that these options came from: no default, no folder of this machine, nothing about speed."""
        words = ["hf-select run", self.recipe]
        for setting in fields(self):
            value, default = getattr(self, setting.name), setting.default
            if setting.name in _NOT_SHOWN or value == default or value in (None, []):
                continue
            flag = "--" + setting.name.replace("_", "-")
            if isinstance(value, bool):
                words.append(flag if value else f"--no-{flag[2:]}")
                continue
            values = value if isinstance(value, list | tuple) else [value]
            words += [flag, *(shlex.quote(_shown(one)) for one in values)]
        return " ".join([*words, "--out runs/again"])

    def _pool_parts(self, source: Source) -> dict[str, str]:
        parts = {"pool_split": source.split, "pool_config": source.config}
        return {name: value for name, value in parts.items() if value is not None}


def _shown(value: object) -> str:
    text = str(value)
    return Path(text).name if Path(text).exists() or Path(text).is_absolute() else text


def number(value: float | None) -> str:
    """A score for a table."""
    return "-" if value is None else f"{value:.3f}"
