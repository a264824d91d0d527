"""Choosing again from a published recipe: the same keys from the same scores, or what is different."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from hf_select.errors import HFSelectError, UsageError
from hf_select.hub.card import is_hub_id
from hf_select.hub.load import fetch, selection_in, source_of
from hf_select.sampling.allocation import Allocation

if TYPE_CHECKING:
    import pyarrow as pa

    from hf_select.sampling.sampler import Sampler
    from hf_select.sampling.selection import Selection

SAMPLERS = {
    "Bottom": "ranked",
    "CentralitySampler": "centrality",
    "CorrelationSampler": "correlation",
    "FarthestPointSampler": "farthest_point",
    "GreedyMMDSampler": "greedy_mmd",
    "GroupedSampler": "grouped",
    "LeverageSampler": "leverage",
    "MessagePassingSampler": "message_passing",
    "Middle": "ranked",
    "PrototypeSampler": "prototypes",
    "SemDeDupSampler": "semdedup",
    "Top": "ranked",
    "TypicalitySampler": "typicality",
    "Uniform": "uniform",
}
"""The samplers a recipe may name; a recipe is data, and no other class is ever looked up."""

SCORERS = {
    "AnswerLength": "scoring.answer_length",
    "AnswerLoss": "scoring.answer_loss",
    "HiddenEmbedding": "embedding.hidden",
    "ImageEmbedding": "embedding.image",
    "InstructionRelevance": "scoring.instruction_relevance",
    "PairSimilarity": "scoring.pair_similarity",
    "TextEmbedding": "embedding.text",
    "TokenCount": "scoring.token_count",
    "TokenStats": "scoring.token_stats",
}
"""The scorers whose versions a recipe is compared with."""

_GIVEN = ("seed", "reference")


@dataclass(frozen=True)
class Replay:
    """A selection made again.

    Attributes:
        selection: What the recipe chose now.
        published: What it had chosen.
        differences: Sentences; none where the two are identical.
    """

    selection: Selection
    published: Selection
    differences: tuple[str, ...]

    @property
    def identical(self) -> bool:
        """Whether the same rows came in the same order."""
        return self.selection.keys == self.published.keys


def replay(repo_id: str, *, revision: str | None = None, sleep: Callable[[float], None] = time.sleep) -> Replay:
    """Choose again from the scores that a published selection carries.

    Raises:
        UsageError: The repository holds no selection, or no scores to choose from.
        HFSelectError: The recipe names what this version of hf_select doesn't know.
    """
    import pyarrow.parquet as pq

    folder = fetch(repo_id, revision=revision, sleep=sleep)
    published = selection_in(folder, repo_id)
    scores = folder / "scores.parquet"
    if not scores.is_file():
        command = "the command on its card"
        raise UsageError(f"{repo_id} carries no scores to choose from again: run {command}, or publish it with scores.")
    made = choose_again(published, pq.read_table(scores), repo_id)
    changed = [*_moved(published, repo_id), *_rescored(published), *_different(made, published)]
    return Replay(made, published, tuple(changed))


def choose_again(published: Selection, scored: pa.Table, name: str) -> Selection:
    """Run the recipe of `published` on `scored`."""
    recipe = published.recipe
    if not {"sampler", "settings", "budget", "seed"} <= recipe.keys():
        raise HFSelectError(f"the recipe of {name} lacks its sampler, settings, budget or seed: it can't be run again.")
    told = zip(published.keys, published.table["reason"].to_pylist(), strict=True)
    given = [key for key, reason in told if reason in _GIVEN]
    sampler = sampler_of(recipe["sampler"], recipe["settings"], name)
    budget = str(recipe["budget"]).removesuffix(" rows")
    return sampler.select(scored, int(budget) if budget.isdecimal() else budget, seed=recipe["seed"], include=given)


def columns_to_share(selection: Selection, scored: pa.Table, name: str) -> pa.Table:
    """The columns of `scored` that choosing again looks at; what `publish` sends as scores."""
    recipe = selection.recipe
    return sampler_of(recipe["sampler"], recipe["settings"], name).columns_of(scored, str(recipe["budget"]))


def sampler_of(name: str, settings: Mapping[str, Any], where: str) -> Sampler:
    """Make the sampler that a recipe names, with exactly its settings."""
    if name not in SAMPLERS:
        raise HFSelectError(f"the recipe of {where} names the sampler {name!r}, which this version doesn't know.")
    kind = getattr(importlib.import_module(f"hf_select.sampling.{SAMPLERS[name]}"), name)
    known = {setting.name for setting in fields(kind)}
    strange = sorted(set(settings) - known)
    if strange:
        raise HFSelectError(f"the recipe of {where} has the settings {', '.join(strange)}, which {name} doesn't know.")
    values = {key: Allocation(**value) if key == "allocation" and value else value for key, value in settings.items()}
    return kind(**values)


def _moved(published: Selection, repo_id: str) -> list[str]:
    """Whether the pool is still where and what it was."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

    source = source_of(published, repo_id)
    if not source["on_hub"]:
        return []
    try:
        now = HfApi().repo_info(source["id"], repo_type="dataset").sha
        HfApi().repo_info(source["id"], repo_type="dataset", revision=source["revision"])
    except RepositoryNotFoundError:
        return [f"the pool {source['id']} is gone, or this account may not see it"]
    except RevisionNotFoundError:
        return [f"the pool {source['id']} no longer has the revision {source['revision']}"]
    except (HfHubHTTPError, OSError):
        return [f"the pool {source['id']} could not be looked at now"]
    if source["revision"] is None:
        return [f"the recipe names no revision of the pool {source['id']}, so its rows may have changed"]
    if now != source["revision"]:
        return [f"the pool {source['id']} has moved on to {now}; the scores are of {source['revision']}"]
    return []


def _rescored(published: Selection) -> list[str]:
    """Whether the scores could be made again: the same scorers, and their models still there."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

    told = []
    for entry in published.recipe.get("scorers", ()):
        name, version, model = entry.get("name"), entry.get("version"), str(entry.get("model"))
        if name not in SCORERS:
            told.append(f"this version of hf_select has no scorer {name!r}")
            continue
        kind = getattr(importlib.import_module(f"hf_select.{SCORERS[name]}"), name)
        if kind.scoring_version != version:
            told.append(f"the scores are of version {version} of {name}; it is {kind.scoring_version} here")
        if not is_hub_id(model):
            continue
        try:
            HfApi().repo_info(model, repo_type="model")
        except RepositoryNotFoundError:
            told.append(f"the model {model} that gave the scores is gone, or this account may not see it")
        except (HfHubHTTPError, OSError):
            told.append(f"the model {model} could not be looked at now")
    return told


def _different(made: Selection, published: Selection) -> list[str]:
    if made.keys == published.keys:
        return []
    gone, new = set(published.keys) - set(made.keys), set(made.keys) - set(published.keys)
    if not gone and not new:
        return ["the same rows come in another order"]
    return [f"{len(gone)} of the published rows are not chosen now, and {len(new)} others are"]
