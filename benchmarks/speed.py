"""Run every speed benchmark beside its peers and write results/speed.json and the table of docs/performance.md.

    python benchmarks/speed.py [--only answer_loss kmeans ...]

Each `bench_NAME.py` runs in a process of its own with one thread and writes its ratios as JSON; a ratio is the peer's
CPU seconds over ours, both from the same run, the median of several. One that can't be measured here (no bfloat16 unit,
a peer that isn't installed) is left out and said. With `--only`, the ratios of the other scripts stay as they were.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RESULTS, PAGE = HERE / "results" / "speed.json", HERE.parent / "docs" / "performance.md"
BEGIN, END = "<!-- speed: benchmarks/speed.py writes this table -->", "<!-- end of speed -->"
LIBRARIES = ("torch", "transformers", "numpy", "faiss-cpu", "scikit-learn", "polars", "duckdb", "numba")

# Ratio -> what it compares, the bar, and what the hardware would allow.
RATIOS = {
    "answer_loss_fp32": ("two contexts, float32, against two full forwards with all logits", 2.0, "2.4 by FLOPs"),
    "answer_loss_bf16": ("the same in bfloat16 against float32", 3.3, "5.2 by FLOPs and units"),
    "answer_loss_multiturn": ("four turns, two contexts, against one pass a turn", 6.0, "9 measured before"),
    "image_path": ("pictures to pixels against the model's own processor", 3.0, "3.4: decoding alone"),
    "embed_bf16": ("image embedding in bfloat16 against float32", 1.8, "2.2 by units"),
    "feature_store_open": ("opening a feature store against a pickled dict", 100.0, "no bound: nothing is read"),
    "kmeans_sklearn_40k": ("k-means of 40,000 rows against scikit-learn as PreSel calls it", 10.0, "40"),
    "kmeans_sklearn_100k": ("the same with 100,000 rows", 20.0, "40"),
    "kmeans_faiss": ("k-means against faiss.Kmeans with 25 iterations", 2.0, "not known"),
    "centrality": ("neighbour centrality and pick against a loop over clusters", 1.4, "3.8"),
    "quota_numpy_1e7": ("10 % of each of 500 groups, 10^7 rows, against the best numpy form", 4.0, "100 by memory"),
    "quota_duckdb_1e7": ("the same against duckdb", 8.0, "250 by memory"),
}


def main() -> None:
    """Run, collect, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", help="names of scripts without bench_ and .py")
    options = parser.parse_args()
    scripts = sorted(HERE.glob("bench_*.py"))
    if options.only:
        scripts = [script for script in scripts if script.stem.removeprefix("bench_") in options.only]
    before = json.loads(RESULTS.read_text("utf-8")) if options.only and RESULTS.exists() else {}
    ratios, detail, failed = dict(before.get("ratios", {})), list(before.get("detail", [])), []
    for script in scripts:
        print(script.name, flush=True)
        told = run(script)
        if told is None:
            failed.append(script.name)
            continue
        ratios |= told["ratios"]
        detail = [one for one in detail if one["script"] != script.name]
        detail += [{"script": script.name, **one} for one in told["detail"]]
    results = {"machine": machine(), "versions": versions(), "date": datetime.now(UTC).date().isoformat()}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results | {"ratios": ratios, "detail": detail}, indent=1) + "\n", "utf-8")
    head, begin, rest = PAGE.read_text("utf-8").partition(BEGIN)
    if begin:
        PAGE.write_text(f"{head}{BEGIN}\n\n{table(ratios, results)}\n\n{END}{rest.partition(END)[2]}", "utf-8")
    below = [name for name, (_, bar, _) in RATIOS.items() if ratios.get(name, bar) < bar]
    print(table(ratios, results))
    print(f"below their bar: {', '.join(below) or 'none'}; failed: {', '.join(failed) or 'none'}")
    sys.exit(bool(failed))


def run(script: Path) -> dict[str, Any] | None:
    """Run one script; None where it failed."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "out.json"
        threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        done = subprocess.run([sys.executable, script, "--json", file], env=os.environ | threads, check=False)
        return json.loads(file.read_text("utf-8")) if done.returncode == 0 and file.exists() else None


def table(ratios: dict[str, float], about: dict[str, Any]) -> str:
    """The ratios beside their bars and ceilings, in Markdown."""
    lines = ["| ratio | what | measured | bar | ceiling |", "|---|---|---|---|---|"]
    for name, (what, bar, ceiling) in RATIOS.items():
        found = f"{ratios[name]:.2f}" if name in ratios else "not measured"
        lines.append(f"| {name} | {what} | {found} | {bar:g} | {ceiling} |")
    return "\n".join([*lines, "", f"{about['machine']}, {about['date']}, one thread, CPU seconds, medians."])


def machine() -> str:
    """The processor and its cores."""
    names = [line for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines() if line.startswith("model name")]
    return f"{names[0].partition(':')[2].strip() if names else platform.machine()}, {os.cpu_count()} cores"


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that decide times."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


if __name__ == "__main__":
    main()
