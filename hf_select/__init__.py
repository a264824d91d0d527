"""hf_select: a Hub-native filter for visual-instruction-tuning data.

Public names are loaded on first use, so `import hf_select` costs nothing and pulls in no heavy package.
"""

from __future__ import annotations

import importlib
from typing import Any

from hf_select._version import __version__

_PUBLIC = {
    "AnswerLoss": "hf_select.scoring.answer_loss",
    "Allocation": "hf_select.sampling.allocation",
    "Bottom": "hf_select.sampling.ranked",
    "Budget": "hf_select.sampling.budget",
    "CentralitySampler": "hf_select.sampling.centrality",
    "Content": "hf_select.hub.content",
    "FitConfig": "hf_select.training.config",
    "GroupedSampler": "hf_select.sampling.grouped",
    "HFSelectError": "hf_select.errors",
    "HiddenEmbedding": "hf_select.embedding.hidden",
    "ImageEmbedding": "hf_select.embedding.image",
    "InstructionRelevance": "hf_select.scoring.instruction_relevance",
    "KMeansGroups": "hf_select.sampling.kmeans",
    "MLLMSelector": "hf_select.recipes.mllm_selector",
    "Middle": "hf_select.sampling.ranked",
    "NeighbourCentrality": "hf_select.sampling.neighbours",
    "PairSimilarity": "hf_select.scoring.pair_similarity",
    "PoolView": "hf_select.pool.view",
    "PreSel": "hf_select.recipes.presel",
    "Row": "hf_select.pool.row",
    "Scorer": "hf_select.scoring.scorer",
    "Selection": "hf_select.sampling.selection",
    "TextEmbedding": "hf_select.embedding.text",
    "TokenCount": "hf_select.scoring.token_count",
    "TokenStats": "hf_select.scoring.token_stats",
    "Top": "hf_select.sampling.ranked",
    "Uniform": "hf_select.sampling.uniform",
    "check_pool": "hf_select.pool.check",
    "fit": "hf_select.training.fit",
    "load_scores": "hf_select.hub.scores",
    "load_selected": "hf_select.hub.load",
    "publish": "hf_select.hub.publish",
    "read_pool": "hf_select.pool.read",
    "recipe": "hf_select.recipes.catalogue",
    "recipe_names": "hf_select.recipes.catalogue",
    "score": "hf_select.scoring.run",
    "task_weights": "hf_select.sampling.task_weights",
}

__all__ = ["__version__", *sorted(_PUBLIC)]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'hf_select' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return __all__
