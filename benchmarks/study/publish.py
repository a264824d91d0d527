"""Put the study's results where people look: the table of README.md, and what `hf-select ls recipes` shows.

python benchmarks/study/publish.py            writes both from results/RESULTS.json and study.yaml
python benchmarks/study/publish.py --check    exits with 1 where they differ from it
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

from hf_select.evaluation.study import Study

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
README, MEASURED = ROOT / "README.md", ROOT / "hf_select" / "recipes" / "measured.json"
BEGIN, END = "<!-- study: benchmarks/study/publish.py writes this table -->", "<!-- end of study -->"


def main() -> int:
    """Write, or check."""
    results = json.loads((HERE / "results" / "RESULTS.json").read_text("utf-8"))
    study = Study.of(yaml.safe_load((HERE / "study.yaml").read_text("utf-8"))["study"])
    before, begin, rest = README.read_text("utf-8").partition(BEGIN)
    if not begin or END not in rest:
        raise SystemExit(f"README.md has no place for the table: put in the lines {BEGIN} and {END}")
    wanted = {
        README: f"{before}{BEGIN}\n\n{table(results)}\n\n{END}{rest.partition(END)[2]}",
        MEASURED: json.dumps(measured(results, study), indent=1) + "\n",
    }
    if "--check" in sys.argv[1:]:
        return int(any(not file.exists() or file.read_text("utf-8") != text for file, text in wanted.items()))
    for file, text in wanted.items():
        file.write_text(text, "utf-8")
    return 0


def table(results: dict[str, Any]) -> str:
    """A Markdown table of the differences to random at 15 % on each pool, best on the dirtied pool first."""
    rows = {(row["recipe"], row["pool"]): row for row in results["rows"] if row["budget"] == 0.15}
    pools = [pool for pool in ("plain", "dirty") if any(known == pool for _, known in rows)]
    names = sorted(
        {recipe for recipe, _ in rows if recipe != "random"},
        key=lambda recipe: [-rows[recipe, pool]["diff"] for pool in reversed(pools) if (recipe, pool) in rows],
    )
    heads = ["recipe", *(f"{pool} pool" for pool in pools)]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    scores = [f"{rows['random', pool]['score']:.2f} of 100" for pool in pools]
    lines.append(f"| random | {' | '.join(scores)} |")
    for name in names:
        cells = [_cell(rows.get((name, pool))) for pool in pools]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def measured(results: dict[str, Any], study: Study) -> dict[str, Any]:
    """Recipe -> pool -> difference, of the labels that stand for a recipe as it comes."""
    from hf_select.recipes.catalogue import recipe

    found: dict[str, dict[str, Any]] = {}
    for row in results["rows"]:
        label = row["recipe"]
        chosen = study.recipe(label)
        if label == "random" or row["budget"] != 0.15 or chosen != recipe(chosen.name):
            continue
        told = {"diff": row["diff"], "low": row["diff_low"], "high": row["diff_high"], "budget": row["budget"]}
        found.setdefault(chosen.name, {})[row["pool"]] = told
    return {"recipes": found, "source": "benchmarks/study/results/RESULTS.json"}


def _cell(row: dict[str, Any] | None) -> str:
    return "-" if row is None else f"{row['diff']:+.2f} ({row['diff_low']:+.2f} to {row['diff_high']:+.2f})"


if __name__ == "__main__":
    sys.exit(main())
