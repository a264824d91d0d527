"""A study's learner for any checkpoint of transformers: tuned, scored and evaluated by this package's own stages."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from hf_select.evaluation.study import FORWARD, SEED_MODEL, Trained
from hf_select.recipes.pipeline import Source
from hf_select.recipes.recipe import Models, Recipe
from hf_select.recipes.stages import digest
from hf_select.scoring.answer_length import AnswerLength
from hf_select.scoring.answer_loss import AnswerLoss
from hf_select.training.config import FitConfig

if TYPE_CHECKING:
    from datasets import Dataset

    from hf_select.evaluation.run import Plan
    from hf_select.scoring.scorer import Scorer
    from hf_select.training.record import FitResult


@dataclass(frozen=True, kw_only=True)
class CheckpointLearner:
    """Tunes `models.model` by `hf_select.fit`, scores by the recipes' own scorers, evaluates as `hf-select eval` does.

    Attributes:
        sources: Pool name -> where it is read from.
        planned: The documents to ask, from `plan` or `plan_held_out`.
        folder: Where checkpoints and caches lie while they are needed; a checkpoint goes when it was evaluated.
        models: The checkpoint and the encoders.
        recipes: Those whose columns are computed.
        fit: Settings of every fit; its seed is the study's.
        planted: Column of the pools that names planted trouble, or None.
        batch_size: Questions in one call of the model.
    """

    sources: Mapping[str, Source]
    planned: Plan
    folder: Path
    models: Models
    recipes: tuple[Recipe, ...]
    fit: FitConfig = field(default_factory=FitConfig)
    planted: str | None = None
    batch_size: int = 1

    @property
    def name(self) -> str:
        """The checkpoint's name, without folders of this machine."""
        from hf_select.evaluation.run import shown

        return shown(self.models.vlm("a study"))

    @cached_property
    def _weights(self) -> dict[str, Any]:
        from hf_select.scoring.weights import weights_identity

        return weights_identity(self.models.vlm("a study"))

    def identity(self) -> dict[str, Any]:
        """Weights, fit settings, documents and the pools' contents."""
        asked = [[job.task, job.metric, digest({"documents": list(job.digests)})] for job in self.planned.jobs]
        pools = {name: self._pool(name)._fingerprint for name in self.sources}
        models = {
            name: getattr(self.models, name) for name in ("image_encoder", "text_encoder", "dual_encoder", "dtype")
        }
        return {"weights": self._weights, "fit": self.fit.identity(), "asked": asked, "pools": pools, "models": models}

    def facts(self, pool: str) -> pa.Table:
        """See `Learner`."""
        table = self._columns(pool, ())
        if self.planted is None:
            return table
        planted = self._pool(pool).with_format("arrow")[:][self.planted].cast(pa.string()).fill_null("")
        return table.append_column("planted", planted)

    def scored(self, pool: str, seed_rows: Sequence[str], seed: int) -> tuple[pa.Table, dict[str, float]]:
        """See `Learner`; the seed model is removed when every column is there."""
        started = time.time()
        seed_model = self._fitted(pool, seed_rows, seed, f"seed-{pool}-{seed}")
        tuned = time.time()
        models = replace(self.models, model=str(seed_model.path))
        scorers = _merged([one for recipe in self.recipes for one in recipe.scorers(models)])
        table = self._columns(pool, scorers)
        shutil.rmtree(seed_model.path, ignore_errors=True)
        passes = sum(len(one.contexts) if isinstance(one, AnswerLoss) else 1 for one in scorers)
        return table, {SEED_MODEL: tuned - started, FORWARD: (time.time() - tuned) / max(1, passes)}

    def trained(self, pool: str, rows: Sequence[str] | None, seed: int) -> Trained:
        """See `Learner`."""
        from hf_select.evaluation.run import evaluate

        name = f"fit-{pool}-{seed}-{digest({'rows': None if rows is None else list(rows)})}"
        started = time.time()
        model, steps = self.models.vlm("a study"), 0
        if rows is not None:
            fitted_model = self._fitted(pool, rows, seed, name)
            model, steps = str(fitted_model.path), fitted_model.steps
        ready = time.time()
        report = evaluate(
            model,
            self.planned,
            self.folder / "evals" / name,
            dtype=self.models.dtype,
            device=self.models.device,
            batch_size=self.batch_size,
        )
        if rows is not None:
            shutil.rmtree(model, ignore_errors=True)
        return Trained(report, steps, {"fit": ready - started, "evaluate": time.time() - ready})

    def _fitted(self, pool: str, rows: Sequence[str], seed: int, name: str) -> FitResult:
        from hf_select.training.fit import fit

        return fit(
            self.models.vlm("a study"),
            self._subset(pool, rows),
            self.folder / "models" / name,
            config=replace(self.fit, seed=seed),
            view=self.sources[pool].view,
            device=self.models.device,
            pool_name=self.sources[pool].name,
        )

    def _subset(self, pool: str, rows: Sequence[str]) -> Dataset:
        from hf_select.sampling.keys import unique_keys

        place = {key: at for at, key in enumerate(unique_keys(self.facts(pool)["row_key"].to_pylist()))}
        return self._pool(pool).select([place[key] for key in rows])

    def _pool(self, name: str) -> Dataset:
        known = self.__dict__.setdefault("_pools", {})
        if name not in known:
            known[name] = self.sources[name].read()
        return known[name]

    def _columns(self, pool: str, scorers: Sequence[Scorer]) -> pa.Table:
        from hf_select.scoring.run import score_columns

        columns = score_columns(
            self._pool(pool), *scorers, view=self.sources[pool].view, cache_dir=self.folder / "shards"
        )
        return columns.with_format("arrow")[:]


def _merged(scorers: Sequence[Scorer]) -> list[Scorer]:
    """Each scorer once; losses of one model in one scorer with all contexts that are asked for, lengths among them."""
    losses = [one for one in scorers if type(one) is AnswerLoss]
    lengths = ["full"] if losses and any(type(one) is AnswerLength for one in scorers) else []
    contexts = tuple(dict.fromkeys([*lengths, *(context for one in losses for context in one.contexts)]))
    merged = (AnswerLoss, AnswerLength) if losses else (AnswerLoss,)
    kept = {one.identity(): one for one in scorers if type(one) not in merged}
    return [*([replace(losses[0], contexts=contexts)] if losses else []), *kept.values()]
