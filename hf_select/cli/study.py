"""`hf-select study`: recipes against random on pools of one's own, with the evidence written down."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_select.cli.command import Command, option
from hf_select.errors import UsageError

if TYPE_CHECKING:
    from hf_select.cli.output import Output
    from hf_select.evaluation.study import StudyFolder

KEYS = (
    "pools", "held_out", "suite", "metrics", "data_root", "limit", "model", "image_encoder", "text_encoder",
    "dual_encoder", "dtype", "recipes", "budgets", "seeds", "seed_fraction", "full_seeds", "fit", "planted",
    "batch_size",
)  # fmt: skip
"""Settings of a study file."""


@dataclass(frozen=True, kw_only=True)
class StudyOptions:
    """Flags of `hf-select study`."""

    study: Path = option(help="YAML file of the study; see docs and examples", positional=True)
    out: Path = option(help="folder of the study; the same command on it resumes, started twice it shares the work")
    devices: list[str] = option([], help="one process for each of these: cuda:0 cuda:1, or cpu cpu; default one")
    only_results: bool = option(False, help="fit nothing, write the results of what is done")


def run(options: StudyOptions, out: Output) -> int:
    """Work through the study and write RESULTS.md, RESULTS.json and plots into its folder."""
    from hf_select.evaluation.study_results import write_results

    told = read_study(options.study)
    if out.dry_run:
        return _plan(told, out)
    devices = options.devices or [None]
    if not options.only_results:
        if len(devices) == 1:
            _open(told, options.study, options.out, devices[0], out.note).work()
        else:
            _share(told, options, devices)
    folder = _open(told, options.study, options.out, devices[0], out.note)
    runs = folder.runs()
    if not runs:
        raise UsageError(f"{options.out} holds no finished fit: run the study without --only-results.")
    written = write_results(
        runs, options.out, {"model": folder.learner.name, "command": f"hf-select study {options.study.name}"}
    )
    missing = folder.missing()
    human = written.read_text("utf-8") + (f"\n{missing} fits are missing: run the command again." if missing else "")
    out.result(human=human, data={"results": str(written), "runs": len(runs), "missing": missing}, quiet=str(written))
    return 1 if missing else 0


def read_study(file: Path) -> dict[str, Any]:
    """Read a study file; every key has to be one of `KEYS`.

    Raises:
        UsageError: The file can't be read, or has a key that isn't known, or lacks one that is needed.
    """
    import yaml

    try:
        told = yaml.safe_load(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(
            f"{file} can't be read as YAML ({' '.join(str(error).split())}): give a study's file."
        ) from error
    if not isinstance(told, dict):
        raise UsageError(f"{file} holds no mapping: give pools, model, recipes and held_out or suite.")
    strange = [name for name in told if name not in KEYS]
    if strange:
        raise UsageError(f"unknown setting {strange[0]!r} in {file.name}; known are {', '.join(KEYS)}.")
    for name in ("pools", "model", "recipes"):
        if not told.get(name):
            raise UsageError(f"{file.name} has no {name}: a study needs pools, model and recipes.")
    if bool(told.get("held_out")) == bool(told.get("suite")):
        raise UsageError(f"{file.name} needs either held_out or suite: which documents to ask.")
    return told


def _open(told: dict[str, Any], file: Path, folder: Path, device: str | None, note: Any) -> StudyFolder:
    from hf_select.evaluation.checkpoint_learner import CheckpointLearner
    from hf_select.evaluation.study import Study, StudyFolder
    from hf_select.pool.view import PoolView
    from hf_select.recipes.pipeline import Source
    from hf_select.recipes.recipe import Models
    from hf_select.training.config import FitConfig

    pools = {name: {"pool": entry} if isinstance(entry, str) else dict(entry) for name, entry in told["pools"].items()}
    sources = {}
    for name, entry in pools.items():
        view = PoolView(**{key: entry.pop(key) for key in ("schema", "task_field", "image_root") if key in entry})
        entry["pool"] = _beside(file, entry["pool"])
        sources[name] = Source(**entry, view=view)
    study = Study.of(
        {"pools": tuple(pools)}
        | {name: told[name] for name in ("recipes", "budgets", "seeds", "seed_fraction", "full_seeds") if name in told}
    )
    models = {name: told[name] for name in ("image_encoder", "text_encoder", "dual_encoder", "dtype") if name in told}
    encoders = {name: _beside(file, value) for name, value in models.items()}
    learner = CheckpointLearner(
        sources=sources,
        planned=_planned(told, file),
        folder=folder / "work",
        models=Models(model=_beside(file, told["model"]), device=device, **encoders),
        recipes=tuple(study.recipe(label) for label in study.recipes),
        fit=FitConfig(**told.get("fit", {})),
        planted=told.get("planted"),
        batch_size=told.get("batch_size", 1),
    )
    return StudyFolder(folder, study, learner, note)


def _planned(told: dict[str, Any], file: Path) -> Any:
    from hf_select.evaluation.run import plan, plan_held_out
    from hf_select.pool.read import read_pool

    if told.get("suite"):
        return plan(told["suite"], data_root=told.get("data_root"), limit=told.get("limit"))
    rows = read_pool(_beside(file, told["held_out"]))
    return plan_held_out(rows, name="held-out", metrics=told.get("metrics"), limit=told.get("limit"))


def _beside(file: Path, name: str) -> str:
    """A path of a study file starts from the file's folder; anything that isn't there is a Hub id."""
    path = file.parent / name
    return str(path) if path.exists() else name


def _share(told: dict[str, Any], options: StudyOptions, devices: list[str]) -> None:
    """Work in one process a device; they claim fits through the folder."""
    from multiprocessing import get_context

    started = [
        get_context("spawn").Process(target=_worker, args=(told, options.study, options.out, device))
        for device in devices
    ]
    for process in started:
        process.start()
    for process in started:
        process.join()


def _worker(told: dict[str, Any], file: Path, folder: Path, device: str) -> None:
    from hf_select.cli.output import Output
    from hf_select.processes import end_with_parent

    end_with_parent()
    out = Output()
    _open(told, file, folder, device, lambda text: out.note(f"{device}: {text}")).work()


def _plan(told: dict[str, Any], out: Output) -> int:
    from hf_select.evaluation.study import Study

    names = ("recipes", "budgets", "seeds", "seed_fraction", "full_seeds")
    study = Study.of({"pools": tuple(told["pools"])} | {name: told[name] for name in names if name in told})
    units = list(study.units())
    scored = len(study.pools) * len(study.seeds)
    line = f"{len(units)} fits: {len(study.recipes)} recipes, {len(study.budgets)} budgets, {len(study.seeds)} seeds"
    out.result(
        human=f"{line}; the pool is scored {scored} times; nothing was done",
        data={"fits": len(units)},
        quiet=str(len(units)),
    )
    return 0


COMMAND = Command(
    "study",
    "Compare recipes with random on pools of your own, with intervals.",
    StudyOptions,
    run,
    writes=True,
    examples=(
        "hf-select study study.yaml --out studies/a --devices cuda:0 cuda:1",
        "hf-select study study.yaml --out studies/a --only-results",
    ),
)
