"""The study with the small model: many recipes, seeds and budgets on the plain and the dirtied pool.

    python benchmarks/study/run.py --config benchmarks/study/study.yaml --pool POOL_FOLDER --work WORK --out RESULTS

The pool's folder holds `pool.jsonl` and `eval.jsonl` in the LLaVA schema with `task`, the latter with `metric`. The
same command resumes. Without `--results` only the fits are done; with it RESULTS.md, RESULTS.json and plots of what is
done are written.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from functools import partial
from pathlib import Path

import yaml


def main() -> None:
    """Parse the command line and do what it says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--pool", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="downloads, features, start model; reused")
    parser.add_argument("--out", type=Path, help="folder of the fits; default WORK/CONFIG")
    parser.add_argument("--results", type=Path, help="folder that RESULTS.md, RESULTS.json and plots are written to")
    parser.add_argument(
        "--tuning", action="store_true", help="ask a tenth of the pool, never chosen, in place of eval.jsonl"
    )
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes, of one thread each")
    parser.add_argument("--only-results", action="store_true", help="fit nothing")
    options = parser.parse_args()
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    sys.path.insert(0, str(Path(__file__).parent))

    import torch

    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    from small_learner import SmallConfig, SmallLearner

    from hf_select.evaluation.study import Study, StudyFolder
    from hf_select.evaluation.study_results import write_results

    told = yaml.safe_load(options.config.read_text("utf-8"))
    options.work.mkdir(parents=True, exist_ok=True)
    plain = options.pool / "pool.jsonl"
    pools = {"plain": plain}
    study = Study.of(told["study"])
    if "dirty" in study.pools:
        pools["dirty"] = options.work / "dirty" / "pool.jsonl"
    learner = SmallLearner(
        pools=pools,
        held_out=options.pool / "eval.jsonl",
        work=options.work,
        config=SmallConfig(**told.get("learner", {})),
        tuning=options.tuning,
    )
    folder = StudyFolder(options.out or options.work / options.config.stem, study, learner, _say)
    if not options.only_results:
        folder.once(partial(learner.prepare, study.pools))
        others = [subprocess.Popen(_again(options)) for _ in range(options.workers - 1)]
        folder.work()
        for other in others:
            other.wait()
    if options.results:
        told = {f"learner: {name}": value for name, value in learner.identity().items()}
        command = (
            f"python benchmarks/study/run.py --config benchmarks/study/{options.config.name} --pool POOL --work WORK"
        )
        about = {"command": command, "seconds": "CPU seconds of one thread", "machine": _machine()} | told
        write_results(folder.runs(), options.results, about)
    print(f"{folder.missing()} fits are missing", flush=True)


def _again(options: argparse.Namespace) -> list[str]:
    """The command of a process that shares the fits."""
    given = {"config": options.config, "pool": options.pool, "work": options.work, "out": options.out, "workers": 1}
    words = [word for name, value in given.items() if value is not None for word in (f"--{name}", str(value))]
    return [sys.executable, __file__, *words, *(["--tuning"] if options.tuning else [])]


def _machine() -> str:
    names = [line for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines() if line.startswith("model name")]
    return f"{names[0].partition(':')[2].strip()}, {os.cpu_count()} cores" if names else platform.machine()


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main()
