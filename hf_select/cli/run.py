"""`hf-select run`: a recipe from a pool to a chosen subset, in stages that resume."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hf_select.cli.command import Command
from hf_select.cli.run_mllm_selector import MLLMSelectorOptions, run_mllm_selector
from hf_select.cli.run_presel import PreSelOptions, run_presel
from hf_select.cli.run_recipe import ScoredOptions, run_recipe, variants
from hf_select.cli.run_replay import ReplayOptions, run_replay

if TYPE_CHECKING:
    from hf_select.cli.output import Output


def run(options: MLLMSelectorOptions | PreSelOptions | ReplayOptions | ScoredOptions, out: Output) -> int:
    """Run the recipe whose options these are; return the exit code."""
    if isinstance(options, ReplayOptions):
        return run_replay(options, out)
    if isinstance(options, ScoredOptions):
        return run_recipe(options, out)
    return run_presel(options, out) if isinstance(options, PreSelOptions) else run_mllm_selector(options, out)


COMMAND = Command(
    "run",
    "Run a recipe from a pool to a chosen subset, in stages that resume.",
    None,
    run,
    writes=True,
    variant_metavar="RECIPE",
    url_variant="replay",
    variants={
        "mllm_selector": ("seed model, necessity, grouped sampling (reading of arXiv 2503.20502)", MLLMSelectorOptions),
        "presel": ("images before their instructions, then instructions for those (arXiv 2503.07591)", PreSelOptions),
        **variants(),
        "replay": (
            "a published selection, chosen again from its recipe and scores: run hf://datasets/me/name",
            ReplayOptions,
        ),
    },
    examples=(
        "hf-select run mllm_selector --pool org/vit-pool --model org/vlm-7b --budget 15% --out runs/a",
        "hf-select run mllm_selector --pool pool.jsonl --image-root images --model ./vlm --budget 1500 --out runs/b",
        "hf-select run presel --pool org/images --task-field task --model org/vlm-7b --annotator endpoint"
        " --annotator-model org/vlm-72b --budget 15% --out runs/c",
        "hf-select run el2n --pool pool.jsonl --model ./vlm --seed-fraction 0.05 --set group=row_task --out runs/d",
        "hf-select run hf://datasets/me/vit-15",
    ),
)
