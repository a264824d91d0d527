"""Does selection beat random? Recipes x budgets x seeds on one or more pools, everything else equal, resumable.

A study's unit of work is one fit: select, tune, evaluate. Units and the scored tables they read are files, claimed by
one process at a time, so the same command on the same folder resumes, and started twice it works on two devices.
"""

from __future__ import annotations

import fcntl
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

from hf_select.errors import UsageError
from hf_select.evaluation.report import EvalReport
from hf_select.evaluation.study_differences import BASELINE, FULL, START
from hf_select.evaluation.study_results import StudyRun
from hf_select.files import replacing, write_atomically
from hf_select.pool.row import OK
from hf_select.recipes.stages import digest
from hf_select.sampling.keys import unique_keys

if TYPE_CHECKING:
    import pyarrow as pa

    from hf_select.recipes.recipe import Recipe
    from hf_select.sampling.selection import Selection


SEED_MODEL, FORWARD = "seed model", "a forward pass"
"""What scoring costs: tuning the seed model, and one forward pass over the pool."""


@dataclass(frozen=True)
class Trained:
    """A fit that was evaluated.

    Attributes:
        report: The held-out scores, document by document.
        steps: Optimizer steps.
        seconds: "fit" and "evaluate".
    """

    report: EvalReport
    steps: int
    seconds: Mapping[str, float]


class Learner(Protocol):
    """What is tuned and measured, on which pools: a checkpoint of transformers, or anything with these methods."""

    name: str

    def identity(self) -> dict[str, Any]:
        """What decides every number beside pool, rows and seed; plain values."""

    def facts(self, pool: str) -> pa.Table:
        """`row_key`, `row_task`, `row_status` of every row; `planted` (text) where trouble was planted."""

    def scored(self, pool: str, seed_rows: Sequence[str], seed: int) -> tuple[pa.Table, dict[str, float]]:
        """The facts and all recipes' columns under a model tuned on `seed_rows`; seconds by `SEED_MODEL`, `FORWARD`."""

    def trained(self, pool: str, rows: Sequence[str] | None, seed: int) -> Trained:
        """Tune on the rows with these addresses (None: not at all) and evaluate."""


@dataclass(frozen=True, kw_only=True)
class Study:
    """What to compare.

    Attributes:
        pools: Names of the learner's pools.
        recipes: Label -> the recipe's name and choices: `{"recipe": "visnec", "clusters": 20}`; without "recipe" the
            label is the name. "random" is always there.
        budgets: Shares or numbers of rows, such as "15%".
        seeds: Each seed has its own seed rows, seed model, draws and order of training.
        seed_fraction: Share of the pool that tunes the seed model; those rows count inside the budget of every recipe
            that looks at the seed model.
        full_seeds: How many seeds are tuned on all rows too.
    """

    pools: tuple[str, ...]
    recipes: Mapping[str, Mapping[str, Any]]
    budgets: tuple[str, ...] = ("15%",)
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    seed_fraction: float = 0.05
    full_seeds: int = 1

    def __post_init__(self) -> None:
        for name in ("pools", "recipes", "budgets", "seeds"):
            if not getattr(self, name):
                raise UsageError(f"the study has no {name}: give at least one.")
        for label in (START, FULL):
            if label in self.recipes:
                raise UsageError(f"{label!r} stands for an end of the scale: call the recipe something else.")
        if BASELINE not in self.recipes:
            object.__setattr__(self, "recipes", {BASELINE: {}, **self.recipes})

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Study:
        """Make a study of what a file says.

        Raises:
            UsageError: A key that isn't known, or a value of another kind.
        """
        known = {setting.name for setting in fields(cls)}
        for name in data:
            if name not in known:
                raise UsageError(f"unknown setting {name!r} of a study; known are {', '.join(sorted(known))}.")
        recipes = data.get("recipes")
        if isinstance(recipes, list):
            recipes = {str(name): {} for name in recipes}
        if not isinstance(recipes, Mapping) or not all(isinstance(v, Mapping | None) for v in recipes.values()):
            raise UsageError("recipes is a list of names, or names with their choices.")
        values = dict(data) | {"recipes": {str(label): dict(v or {}) for label, v in recipes.items()}}
        for name in ("pools", "budgets", "seeds"):
            if name in values:
                given = values[name]
                values[name] = tuple(given if isinstance(given, list | tuple | dict) else [given])
        values["budgets"] = tuple(map(str, values.get("budgets", cls.budgets)))
        return cls(**values)

    def recipe(self, label: str) -> Recipe:
        """The recipe of a label."""
        from hf_select.recipes.catalogue import recipe

        choices = dict(self.recipes[label])
        return recipe(choices.pop("recipe", label), **choices)

    def units(self) -> Iterator[Unit]:
        """All fits: seed by seed, so that a study that is stopped early has whole seeds."""
        for order, seed in enumerate(self.seeds):
            for pool in self.pools:
                if order == 0:
                    yield Unit(pool, START, "0", seed)
                for budget in self.budgets:
                    yield from (Unit(pool, label, budget, seed) for label in self.recipes)
        for seed in self.seeds[: self.full_seeds]:
            yield from (Unit(pool, FULL, "100%", seed) for pool in self.pools)


@dataclass(frozen=True)
class Unit:
    """One fit."""

    pool: str
    label: str
    budget: str
    seed: int


class StudyFolder:
    """The files of a study: `scores/`, `runs/` and locks.

    Args:
        path: The folder.
        study: The study.
        learner: What is tuned.
        note: Called with one sentence of progress at a time.
    """

    def __init__(self, path: Path, study: Study, learner: Learner, note: Callable[[str], None]) -> None:
        self.path = path
        self.study = study
        self.learner = learner
        self.note = note

    def once(self, prepare: Callable[[], None]) -> None:
        """Call `prepare` while no other process does."""
        with self._claim(self.path, wait=True):
            prepare()

    def work(self) -> None:
        """Do every unit that is neither done nor claimed; return when all are done, by whomever."""
        while open_ := [unit for unit in self.study.units() if not self._file(unit).exists()]:
            worked = False
            for unit in open_:
                with self._claim(self._file(unit).parent) as mine:
                    if mine and not self._file(unit).exists():
                        worked |= self._do(unit)
            if not worked:
                self._wait(open_[0])

    def runs(self) -> list[StudyRun]:
        """The fits that are done."""
        files = [self._file(unit) for unit in self.study.units()]
        return [StudyRun.load(file.parent) for file in files if file.exists()]

    def missing(self) -> int:
        """How many fits are not done."""
        return sum(not self._file(unit).exists() for unit in self.study.units())

    def _do(self, unit: Unit) -> bool:
        """Do a unit; False where another process is still scoring what it reads."""
        keys: Sequence[str] | None = None
        forwards = score = selecting = 0.0
        if unit.label == FULL:
            keys = _usable(self.learner.facts(unit.pool))
        elif unit.label != START:
            recipe = self.study.recipe(unit.label)
            looks = bool(recipe.cost.forwards or recipe.cost.tuned)
            scored, include = self.learner.facts(unit.pool), []
            if looks or recipe.cost.encoders or recipe.cost.instructions:
                given = self._scored(unit.pool, unit.seed if looks else self.study.seeds[0])
                if given is None:
                    return False
                scored = given[0]
                if looks:
                    _, seconds, include = given
                    forwards = recipe.cost.forwards
                    score = seconds[SEED_MODEL] + forwards * seconds[FORWARD]
            started = time.process_time()
            keys = recipe.select(scored, unit.budget, seed=unit.seed, include=include).keys
            selecting = time.process_time() - started
        trained = self._trained(unit, keys)
        run = StudyRun(
            pool=unit.pool,
            recipe=unit.label,
            budget=unit.budget,
            seed=unit.seed,
            model=self.learner.name,
            report=trained.report,
            rows=0 if keys is None else len(keys),
            steps=trained.steps,
            seconds={"score": score, "select": selecting, **trained.seconds},
            forwards=forwards,
            **_counts(self.learner.facts(unit.pool), keys or ()),
        )
        run.save(self._file(unit).parent)
        macro = trained.report.macro or 0.0
        self.note(f"{unit.pool} {unit.budget} {unit.label} seed {unit.seed}: {macro:.2f} ({run.rows:,} rows)")
        return True

    def _trained(self, unit: Unit, keys: Sequence[str] | None) -> Trained:
        """Tune and evaluate, or read what the same rows in the same order gave before, under whatever label."""
        told = {"learner": self.learner.identity(), "rows": None if keys is None else list(keys), "seed": unit.seed}
        folder = self.path / "fits" / f"{unit.pool}-{digest(told)}"
        if (folder / "fit.json").exists():
            return Trained(EvalReport.load(folder), **json.loads((folder / "fit.json").read_text("utf-8")))
        trained = self.learner.trained(unit.pool, keys, unit.seed)
        trained.report.save(folder)
        write_atomically(folder / "fit.json", json.dumps({"steps": trained.steps, "seconds": dict(trained.seconds)}))
        return trained

    def _scored(self, pool: str, seed: int) -> tuple[pa.Table, dict[str, float], list[str]] | None:
        """The scored table of a pool and seed, what it cost, and its seed rows; None while another process makes it."""
        import pyarrow.parquet as pq

        folder = self._scores(pool, seed)
        if not (folder / "seed.json").exists():
            with self._claim(folder) as mine:
                if not mine:
                    return None
                if not (folder / "seed.json").exists():
                    rows = list(self._seed_rows(pool, seed).keys)
                    self.note(f"{pool} seed {seed}: seed model on {len(rows)} rows, then every row is scored")
                    table, seconds = self.learner.scored(pool, rows, seed)
                    with replacing(folder / "scores.parquet") as part:
                        pq.write_table(table, part)
                    write_atomically(folder / "seed.json", json.dumps({"rows": rows, "seconds": seconds}))
        kept = json.loads((folder / "seed.json").read_text("utf-8"))
        return pq.read_table(folder / "scores.parquet"), kept["seconds"], kept["rows"]

    def _seed_rows(self, pool: str, seed: int) -> Selection:
        from hf_select.recipes.presel import PreSel

        method = PreSel(reference_fraction=self.study.seed_fraction)
        return method.choose_reference(self.learner.facts(pool), seed=seed)

    def _scores(self, pool: str, seed: int) -> Path:
        key = digest({"learner": self.learner.identity(), "seed_fraction": self.study.seed_fraction})[:8]
        return self.path / "scores" / f"{pool}-{seed}-{key}"

    def _file(self, unit: Unit) -> Path:
        told = {"learner": self.learner.identity(), "seed_fraction": self.study.seed_fraction}
        if unit.label in self.study.recipes:
            told["recipe"] = self.study.recipe(unit.label).describe()
        name = f"{unit.label}-{unit.budget.rstrip('%')}-{unit.seed}-{digest(told)[:8]}"
        return self.path / "runs" / unit.pool / name / "run.json"

    def _wait(self, unit: Unit) -> None:
        """Wait for whoever holds a unit or the scored table it reads."""
        for folder in (self._file(unit).parent, self._scores(unit.pool, unit.seed)):
            with self._claim(folder, wait=True):
                pass

    @contextmanager
    def _claim(self, folder: Path, wait: bool = False) -> Iterator[bool]:
        """Hold a folder; False where another process does. The lock goes with the process, however it ends."""
        folder.mkdir(parents=True, exist_ok=True)
        lock: IO[str]
        with (folder / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
                return
            yield True


def _usable(facts: pa.Table) -> list[str]:
    keys = unique_keys(facts["row_key"].to_pylist())
    return [key for key, status in zip(keys, facts["row_status"].to_pylist(), strict=True) if status == OK]


def _counts(facts: pa.Table, chosen: Sequence[str]) -> dict[str, Any]:
    """How many rows of each task, and of each kind of planted trouble, the pool has and were picked."""
    keys = unique_keys(facts["row_key"].to_pylist())
    taken = set(chosen)
    tasks = ["(no task)" if task is None else task for task in facts["row_task"].to_pylist()]
    picked = Counter(task for key, task in zip(keys, tasks, strict=True) if key in taken)
    kinds = facts["planted"].to_pylist() if "planted" in facts.column_names else [""] * len(keys)
    bad = Counter(kind for key, kind in zip(keys, kinds, strict=True) if key in taken)
    planted = {kind: (bad[kind], n) for kind, n in sorted(Counter(kinds).items()) if kind}
    pool_rows = dict(sorted(Counter(tasks).items()))
    return {"picked": {task: picked[task] for task in pool_rows}, "pool_rows": pool_rows, "planted": planted}
