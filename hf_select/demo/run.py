"""The demo: draw a pool, run the MLLM-Selector recipe on it, and compare its subset with a random one of the same size.

Everything but the drawing is the real tool: the recipe, its staged run, the trainer, the samplers, the metrics.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hf_select.demo.measure import Picked, held_out_scores, look_at
from hf_select.demo.pool import COPIES, WRONG, DemoPool, draw_pool

if TYPE_CHECKING:
    from hf_select.recipes.pipeline import Pipeline
    from hf_select.sampling.selection import Selection
    from hf_select.training.config import FitConfig

MODEL = Path(__file__).resolve().parent / "model"
"""The shipped checkpoint, trained by `hf_select.demo.train`."""

START, RANDOM, CHOSEN = "start", "random", "mllm_selector"


@dataclass(frozen=True, kw_only=True)
class DemoConfig:
    """Sizes of the demo; the defaults fit four minutes of two cores.

    Attributes:
        rows: Rows of the pool, planted ones included.
        held_out: Held-out documents a task.
        budget: What both subsets may keep, seed rows inside it.
        epochs: Passes over the rows in every fit; equal budgets give equal steps.
        learning_rate: Peak learning rate of every fit.
    """

    rows: int = 2000
    held_out: int = 40
    budget: str = "15%"
    epochs: float = 8.0
    learning_rate: float = 1e-3

    def fit(self, seed: int) -> FitConfig:
        """The settings of every fit: language model and projector, the vision tower frozen."""
        from hf_select.training.config import FitConfig

        return FitConfig(
            epochs=self.epochs, lr=self.learning_rate, batch_size=16, seed=seed, dtype="float32", max_length=None
        )


@dataclass(frozen=True)
class SeedResult:
    """One seed's numbers.

    Attributes:
        seed: Decides the seed subset, both draws and the order of training.
        scores: "start", "random", "mllm_selector" -> task -> held-out score, 0 to 100.
        picked: "random", "mllm_selector" -> what the subset is made of.
        seconds: Stage -> wall seconds.
    """

    seed: int
    scores: dict[str, dict[str, float]]
    picked: dict[str, Picked]
    seconds: dict[str, float]


@dataclass(frozen=True)
class DemoResult:
    """All seeds, and how much was planted in the pool."""

    config: DemoConfig
    pool: DemoPool
    seeds: list[SeedResult]
    draw_seconds: float

    @property
    def planted(self) -> dict[str, float]:
        """Share of the pool's rows that are planted copies and planted wrong answers."""
        return {"copies": COPIES, "wrong": WRONG}


def run_demo(out: Path, config: DemoConfig, *, seeds: int, note: Callable[[str], None]) -> DemoResult:
    """Run the demo in `out` for seeds 0 .. seeds - 1 on one drawn pool; the same call again reuses what is done.

    Args:
        out: Gets `pool/` and `seed-N/`, each a run folder that `hf-select status` understands.
        config: Sizes.
        seeds: How often the method is repeated.
        note: Called with one sentence of progress at a time.

    Cost: per seed one forward pass over the pool, three fits, two rounds of answers.
    """
    started = time.time()
    note(f"drawing a pool of {config.rows:,} rows")
    pool = draw_pool(out / "pool", rows=config.rows, held_out=config.held_out)
    drawn = time.time() - started
    documents = pool.held_out()
    note(f"answering {len(documents)} held-out questions with the model as shipped")
    start = held_out_scores(MODEL, documents)
    results = [_one_seed(out, pool, config, seed, start, note) for seed in range(seeds)]
    return DemoResult(config, pool, results, drawn)


def _one_seed(
    out: Path, drawn: DemoPool, config: DemoConfig, seed: int, start: dict[str, float], note: Callable[[str], None]
) -> SeedResult:
    from hf_select.recipes.mllm_selector import MLLMSelector, run_mllm_selector
    from hf_select.recipes.pipeline import Pipeline, Source
    from hf_select.recipes.stages import RunFolder
    from hf_select.sampling.budget import Budget

    folder = RunFolder(out / f"seed-{seed}", lambda text: note(f"seed {seed}: {text}"))
    with folder.claimed():
        pipeline = Pipeline(Source(pool=str(drawn.file)), folder, device="cpu")
        budget, fit = Budget(config.budget), config.fit(seed)
        method = MLLMSelector()
        chosen = run_mllm_selector(
            pipeline, str(MODEL), budget, method=method, fit=fit, seed=seed, final_fit=True, score_dtype="float32"
        )
        random = _random_subset(pipeline, chosen.selection, budget, seed)
        random_model = pipeline.fit("random", str(MODEL), None, random, fit)
        documents, scores, answering = drawn.held_out(), {START: start}, time.time()
        for name, model in ((RANDOM, random_model), (CHOSEN, chosen.final_model)):
            note(f"seed {seed}: answering with the model tuned on the {name} subset")
            scores[name] = held_out_scores(model, documents)
        seconds = {record.name: record.seconds for record in folder.records()}
        seconds["answers"] = time.time() - answering
        view = pipeline.source.view
        picked = {
            RANDOM: look_at(random, pipeline.pool, drawn, view),
            CHOSEN: look_at(chosen.selection, pipeline.pool, drawn, view),
        }
    return SeedResult(seed, scores, picked, seconds)


def _random_subset(pipeline: Pipeline, chosen: Selection, budget: object, seed: int) -> Selection:
    """Draw the same number of rows uniformly; both subsets hold the same seed rows, so only the rest differs."""
    from hf_select.sampling.uniform import Uniform

    facts = pipeline.check()
    table = chosen.table.to_pylist()
    seed_keys = [row["key"] for row in table if row["reason"] == "seed"]

    def draw() -> Selection:
        return Uniform(stage="random subset").select(facts, budget, seed=seed, include=seed_keys)

    return pipeline.choose("random", {"budget": str(budget), "seed": seed, "seed_rows": seed_keys}, draw)
