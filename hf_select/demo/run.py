"""The demo: draw a pool, run both recipes on it, and compare their subsets with a random one of the same size.

Everything but the drawing is the real tool: the recipe, its staged run, the trainer, the samplers, the metrics.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

from hf_select.demo.benchmarks import compare_models
from hf_select.demo.measure import Picked, held_out_scores, look_at
from hf_select.demo.pool import COPIES, WRONG, DemoPool, draw_pool
from hf_select.demo.presel import run_demo_presel

if TYPE_CHECKING:
    from hf_select.evaluation.compare import Comparison
    from hf_select.recipes.mllm_selector import MLLMSelector
    from hf_select.recipes.pipeline import Pipeline, Source
    from hf_select.sampling.budget import Budget
    from hf_select.sampling.selection import Selection
    from hf_select.training.config import FitConfig

MODEL = Path(__file__).resolve().parent / "model"
"""The shipped checkpoint, trained by `hf_select.demo.train`."""

START, RANDOM, CHOSEN, PRESEL = "start", "random", "mllm_selector", "presel"
NAMES = {RANDOM: "random", CHOSEN: "MLLM-Selector", PRESEL: "PreSel"}
"""The subsets as people read them, the one to beat first."""

_MEANS = {
    "check": "every row is looked at once",
    "seed": "5 % of the rows are drawn at random",
    "fit-seed": "they tune the seed model",
    "score": "the seed model's loss on each answer is the row's necessity",
    "select": "rows are drawn from ten bins of necessity, more from the upper ones",
    "subset": "the chosen rows become a folder that load_dataset reads",
    "fit-final": "the shipped model is tuned on the chosen rows",
    "random": "as many rows are drawn at random, the same seed rows among them",
    "fit-random": "the shipped model is tuned on those, with the same steps",
    "presel": "meanwhile PreSel chooses from the same pictures with their instructions hidden",
}


@dataclass(frozen=True, kw_only=True)
class DemoConfig:
    """Sizes of the demo; the defaults take about five minutes of two cores.

    Attributes:
        rows: Rows of the pool, planted ones included.
        held_out: Held-out documents a task.
        budget: What each subset may keep, seed rows inside it.
        epochs: Passes over the rows in every fit; equal budgets give equal steps.
        learning_rate: Peak learning rate of every fit.
    """

    rows: int = 1600
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
        scores: "start" and each of `NAMES` -> task -> held-out score, 0 to 100.
        picked: Each of `NAMES` -> what the subset is made of.
        instructions: How many rows' instructions PreSel saw, of all in the pool.
        seconds: Stage -> wall seconds.
    """

    seed: int
    scores: dict[str, dict[str, float]]
    picked: dict[str, Picked]
    seconds: dict[str, float]
    instructions: int
    models: dict[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class DemoResult:
    """All seeds, how much was planted in the pool, and what this call cost (less where stages were reused)."""

    config: DemoConfig
    pool: DemoPool
    seeds: list[SeedResult]
    draw_seconds: float
    wall_seconds: float
    cpu_seconds: float
    benchmarks: dict[str, Comparison] | None = None

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

    Cost: per seed one forward pass over the pool, one pass of the vision tower, five fits, three rounds of answers.
    """
    started, cpu = time.time(), _processor_seconds()
    note(f"drawing a pool of {config.rows:,} rows")
    pool = draw_pool(out / "pool", rows=config.rows, held_out=config.held_out)
    drawn = time.time() - started
    documents = pool.held_out()
    note(f"answering {len(documents)} held-out questions with the model as shipped")
    start = held_out_scores(MODEL, documents)
    results = [_one_seed(out, pool, config, seed, start, note) for seed in range(seeds)]
    note("benchmarks: lmms-eval asks the tuned models the held-out documents and charts as DocVQA and ChartQA ...")
    tuned = {name: [one.models[name] for one in results] for name in NAMES}
    benchmarks = compare_models(documents, tuned, out / "benchmarks", baseline=RANDOM)
    return DemoResult(config, pool, results, drawn, time.time() - started, _processor_seconds() - cpu, benchmarks)


def _one_seed(
    out: Path, drawn: DemoPool, config: DemoConfig, seed: int, start: dict[str, float], note: Callable[[str], None]
) -> SeedResult:
    from hf_select.recipes.mllm_selector import MLLMSelector, run_mllm_selector
    from hf_select.recipes.pipeline import Pipeline, Source
    from hf_select.recipes.stages import RunFolder
    from hf_select.sampling.budget import Budget

    folder = RunFolder(out / f"seed-{seed}", lambda text: note(f"seed {seed}: {_told(text)}"))
    source = Source(pool=str(drawn.file))
    budget, fit, method = Budget(config.budget), config.fit(seed), MLLMSelector()
    # The random subset is tuned on in a process of its own, one thread each: on two cores that is the quickest, and
    # two threads on so small a model wait for each other most of the time.
    beside = ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=calm)
    with folder.claimed(), beside:
        pipeline = Pipeline(source, folder, device="cpu")
        random = _random_subset(pipeline, method, budget, seed)
        later = beside.submit(_tune_on_random, source, folder.path, random, fit, str(MODEL), drawn)
        last = beside.submit(run_demo_presel, source, folder.path / PRESEL, budget, fit, seed, MODEL, drawn)
        note(f"seed {seed}: fit-random: {_MEANS['fit-random']} ...")
        note(f"seed {seed}: presel: {_MEANS['presel']} ...")
        chosen = run_mllm_selector(
            pipeline, str(MODEL), budget, method=method, fit=fit, seed=seed, final_fit=True, score_dtype="float32"
        )
        note(f"seed {seed}: answers: both tuned models answer the held-out questions ...")
        started = time.time()
        scores = {START: start, CHOSEN: held_out_scores(chosen.final_model, drawn.held_out())}
        answering = time.time() - started
        random_model, scores[RANDOM] = later.result()
        note(f"seed {seed}: presel: goes on with what is left of it ...")
        presel = last.result()
        scores[PRESEL] = presel.scores
        seconds = {record.name: record.seconds for record in folder.records()} | {"answers": answering}
        seconds |= {f"{PRESEL}: {name}": taken for name, taken in presel.seconds.items()}
        view = source.view
        picked = {
            RANDOM: look_at(random, pipeline.pool, drawn, view),
            CHOSEN: look_at(chosen.selection, pipeline.pool, drawn, view),
            PRESEL: presel.picked,
        }
    models = {RANDOM: random_model, CHOSEN: chosen.final_model, PRESEL: presel.model}
    return SeedResult(seed, scores, picked, seconds, presel.instructions, models)


def _random_subset(pipeline: Pipeline, method: MLLMSelector, budget: Budget, seed: int) -> Selection:
    """Draw the same number of rows uniformly; both subsets hold the same seed rows, so only the rest differs."""
    from hf_select.sampling.uniform import Uniform

    facts = pipeline.check()
    seed_keys = method.choose_seed(facts, seed=seed).keys

    def draw() -> Selection:
        return Uniform(stage="random subset").select(facts, budget, seed=seed, include=seed_keys)

    return pipeline.choose("random", {"budget": str(budget), "seed": seed, "seed_rows": list(seed_keys)}, draw)


def _tune_on_random(
    source: Source, folder: Path, random: Selection, fit: FitConfig, model: str, drawn: DemoPool
) -> tuple[Path, dict[str, float]]:
    from hf_select.recipes.pipeline import Pipeline
    from hf_select.recipes.stages import RunFolder

    tuned = Pipeline(source, RunFolder(folder), device="cpu").fit("random", model, None, random, fit)
    return tuned, held_out_scores(tuned, drawn.held_out())


def calm() -> None:
    """One thread for this process, and no bars and advice of other libraries between the demo's own lines."""
    import datasets

    from hf_select.errors import require

    require("torch", "models").set_num_threads(1)
    datasets.disable_progress_bars()
    logs = require("transformers", "models").utils.logging
    logs.disable_progress_bar()
    logs.set_verbosity_error()


def _told(text: str) -> str:
    stage = text.removesuffix(": started")
    return f"{stage}: {_MEANS[stage]} ..." if stage != text and stage in _MEANS else text


def _processor_seconds() -> float:
    """Processor seconds of this process and of its children that have ended."""
    return sum(os.times()[:4])
