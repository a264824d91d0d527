"""The card of a subset: what is in it, why, and how to have it again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hf_select.hub.about import checked_about
from hf_select.hub.render import render_card

if TYPE_CHECKING:
    from hf_select.sampling.selection import Selection

MOST_GROUPS = 60
_UNCLEAR = ("other", "unknown")


def subset_card(
    selection: Selection,
    about: Mapping[str, Any],
    *,
    split: str = "train",
    repo_id: str | None = None,
    mode: str = "full",
    plots: tuple[str, ...] | None = (),
) -> str:
    """Render the card of a subset.

    Args:
        selection: What was chosen.
        about: What is known about it, see `hf_select.hub.about.About`.
        split: Name of the split.
        repo_id: The repository the card is for; None for a folder.
        mode: "full" or "keys".
        plots: Paths of plots in the repository; None where none could be drawn.

    Raises:
        HFSelectError: A value of `about` is missing or unknown.
    """
    about = checked_about(about)
    method = about["method"]
    metadata: dict[str, Any] = {
        "license": licence_of(about["licences"]) if about.get("licences") else None,
        "task_categories": ["image-text-to-text"],
        "tags": ["hf_select", "visual-instruction-tuning"],
        "size_categories": [size_category(len(selection))],
        "source_datasets": [about["pool"]] if is_hub_id(about["pool"]) else None,
    }
    if repo_id is not None:
        # Never in a local folder: datasets 5.2 then caches it under its base name alone.
        files = f"data/{split}-*" if mode == "full" else "selection.parquet"
        metadata["configs"] = [{"config_name": "default", "data_files": [{"split": split, "path": files}]}]
    metadata["hf_select"] = {
        "pool": about["pool"],
        "pool_revision": about["pool_revision"],
        "method": dict(method),
        "budget": about["budget"],
        "seed": about["seed"],
        "rows": len(selection),
        "pool_rows": about["pool_rows"],
        "license": metadata["license"],
    }
    return render_card(
        "subset.md.jinja",
        metadata=card_metadata(metadata),
        rows=len(selection),
        split=split,
        rejected=sorted(selection.rejected.items()),
        notes=list(selection.notes),
        score=method.get("necessity") or dict(selection.recipe.get("settings", {})).get("score") or "score",
        given=selection.recipe.get("included", 0),
        groups=selection.quotas[:MOST_GROUPS],
        more_groups=max(0, len(selection.quotas) - MOST_GROUPS),
        choices=[(name, value) for name, value in method.items() if name not in ("name", "paper")],
        repo_id=repo_id,
        mode=mode,
        plots=plots,
        **about,
    )


def card_metadata(values: Mapping[str, Any]) -> dict[str, Any]:
    """The front matter of a dataset card from its values, through the Hub's own class; None is left out."""
    from huggingface_hub import DatasetCardData

    return DatasetCardData(**{name: value for name, value in values.items() if value is not None}).to_dict()


def licence_of(licences: Mapping[str, str | None]) -> str:
    """The one licence of a mixture: its sources' where all have the same and it is known, else "other"."""
    known = set(licences.values())
    only = next(iter(known)) if len(known) == 1 else None
    return only if only is not None and only not in _UNCLEAR else "other"


def size_category(rows: int) -> str:
    """The Hub's word for a data set of so many rows."""
    if rows < 1_000:
        return "n<1K"
    words = ("1K", "10K", "100K", "1M", "10M", "100M", "1B", "10B", "100B", "1T")
    power = len(str(rows)) - 4
    return f"{words[power]}<n<{words[power + 1]}" if power + 1 < len(words) else "n>1T"


def is_hub_id(name: str) -> bool:
    """Whether a pool's name is a Hub id and no file."""
    return re.fullmatch(r"[A-Za-z0-9][\w.-]*/[\w.-]+", name) is not None
