"""The card of a subset: what is in it, why, and how to have it again; merged into a card that is there already."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import yaml

from hf_select.errors import HFSelectError
from hf_select.hub.render import render_card

if TYPE_CHECKING:
    from hf_select.sampling.selection import Selection

BEGIN = "<!-- hf_select: this part is written anew by every publish -->"
END = "<!-- hf_select: end -->"
_FRONT = re.compile(r"\A---[ \t]*\r?\n(.*?)^---[ \t]*\r?$\n?", re.DOTALL | re.MULTILINE)
_UNCLEAR = ("other", "unknown")


def subset_card(
    selection: Selection,
    about: Mapping[str, Any],
    *,
    split: str = "train",
    repo_id: str | None = None,
    mode: str = "full",
    plots: tuple[str, ...] = (),
) -> str:
    """Render the card of a subset.

    Args:
        selection: What was chosen.
        about: pool, pool_revision, pool_rows, method (name, paper and choices), model, budget, seed and tasks (the
            per-task table); where known: known and unknown of the paper's method, required_instructions and
            reference_rows, scorers, command, licences (source -> licence or None), limits, gain (a comparison of
            `hf_select.evaluation.compare`, as plain values).
        split: Name of the split.
        repo_id: The repository the card is for; None for a folder.
        mode: "full" or "keys".
        plots: Paths of plots in the repository.
    """
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
    }
    return render_card(
        "subset.md.jinja",
        metadata=card_metadata(metadata),
        rows=len(selection),
        split=split,
        rejected=sorted(selection.rejected.items()),
        notes=list(selection.notes),
        choices=[(name, value) for name, value in method.items() if name not in ("name", "paper")],
        repo_id=repo_id,
        mode=mode,
        plots=plots,
        **about,
    )


def merge_card(existing: str | None, ours: str, owned: tuple[str, ...] = ("hf_select", "size_categories")) -> str:
    """Put our card into one that is there: its words and metadata are kept, only our own part is written anew.

    Metadata that the existing card has stays, but for the keys in `owned`; tags are united. Our text stands between two
    comments, at the end where the existing card had none.

    Raises:
        HFSelectError: The existing card's metadata can't be read.
    """
    data, body = _parts(ours)
    marked = f"{BEGIN}\n{body.strip()}\n{END}\n"
    if existing is None:
        return _joined(data, marked)
    kept, words = _parts(existing)
    tags = [*kept.get("tags", []), *(tag for tag in data["tags"] if tag not in kept.get("tags", []))]
    merged = data | kept | {name: data[name] for name in owned} | {"tags": tags}
    start, stop = words.find(BEGIN), words.find(END)
    if 0 <= start < stop:
        return _joined(merged, words[:start] + marked + words[stop + len(END) :].removeprefix("\n"))
    return _joined(merged, f"{words.rstrip()}\n\n{marked}".lstrip("\n"))


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
    steps = [(1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M")]
    return next((name for limit, name in steps if rows < limit), "n>1M")


def is_hub_id(name: str) -> bool:
    """Whether a pool's name is a Hub id and no file."""
    return re.fullmatch(r"[A-Za-z0-9][\w.-]*/[\w.-]+", name) is not None


def _parts(card: str) -> tuple[dict[str, Any], str]:
    found = _FRONT.match(card)
    if found is None:
        return {}, card
    try:
        data = yaml.safe_load(found[1]) or {}
    except yaml.YAMLError as error:
        told = " ".join(str(error).split())
        raise HFSelectError(f"the metadata of the card that is there can't be read: {told}; mend it first.") from error
    if not isinstance(data, dict):
        raise HFSelectError("the metadata of the card that is there is no mapping; mend it first.")
    return data, card[found.end() :]


def _joined(data: Mapping[str, Any], body: str) -> str:
    front = yaml.safe_dump(dict(data), sort_keys=False, allow_unicode=True, width=120)
    return f"---\n{front}---\n\n{body.lstrip()}"
