"""What a card tells about a subset: the values, their shapes, and the check of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from hf_select.errors import HFSelectError, UsageError


class _Task(TypedDict):
    task: str
    rows: int
    usable: int
    picked: int
    share: float


class Task(_Task, total=False):
    """One row of the per-task table.

    Attributes:
        task: The task's name.
        rows: Its rows in the pool.
        usable: Those that could be chosen.
        picked: Those that were.
        share: picked / rows.
        mean_score: Mean score of its usable rows, None without one.
        mean_score_picked: Mean score of its picked rows.
        reference: PreSel's reference rows.
        irs: PreSel's mean instruction relevance over them; None for a task without a usable row.
        weight: Its share of PreSel's budget.
        quota: Rows beside the reference that were to be picked, a fraction.
    """

    mean_score: float | None
    mean_score_picked: float | None
    reference: int
    irs: float | None
    weight: float
    quota: float


class ScorerEntry(TypedDict):
    """A scorer: class name, scoring version, model, weights (commit or digest), dtype."""

    name: str
    version: int
    model: str
    weights: str
    dtype: str


class _About(TypedDict):
    pool: str
    pool_revision: str | None
    pool_rows: int
    method: Mapping[str, Any]
    model: str
    budget: str
    seed: int
    tasks: Sequence[Task]


class About(_About, total=False):
    """The values of a subset's card.

    Attributes:
        pool: The pool's Hub id, or the base name of its file or folder.
        pool_revision: Its commit; None for files.
        pool_rows: Its rows.
        method: `name`, `paper` and every choice.
        model: The pretrained model; "" where the choice looked at none.
        budget: What could be kept, as it was given.
        seed: Decides all draws.
        tasks: The per-task table.
        pool_split: Split of a Hub pool.
        pool_config: Configuration of a Hub pool.
        seed_model: Whether the model was tuned on some first rows before it judged the others; else assumed so.
        known: What is known of the paper's method, for a reading of it.
        unknown: What is not, and was decided here.
        scorers: Where the scores come from.
        command: The command line that reproduces the run; no path of this machine, no secret.
        licences: Licence of each source, None where it is unknown.
        limits: Sentences that users of the subset should know.
        gain: A comparison of `hf_select.evaluation.compare` as plain values: trained on it against a baseline.
        required_instructions: For how many rows instructions were needed (PreSel).
        reference_rows: How many of them are the reference set.
        generated: Whether the instructions were written for this subset and are in no pool.
    """

    pool_split: str
    pool_config: str
    seed_model: bool
    known: Sequence[str]
    unknown: Sequence[str]
    scorers: Sequence[ScorerEntry]
    command: str
    licences: Mapping[str, str | None]
    limits: Sequence[str]
    gain: Mapping[str, Any]
    required_instructions: int
    reference_rows: int
    generated: bool


def checked_about(about: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a card as they are.

    Raises:
        HFSelectError: A value is missing, or no card knows it.
    """
    missing = sorted(About.__required_keys__ - about.keys())
    if missing:
        raise HFSelectError(f"the card of a subset needs {', '.join(missing)}: give it in about.")
    known = About.__required_keys__ | About.__optional_keys__
    strange = sorted(about.keys() - known)
    if strange:
        raise HFSelectError(f"no card tells {', '.join(strange)}: about may hold {', '.join(sorted(known))}.")
    if not {"name", "paper"} <= about["method"].keys():
        raise HFSelectError("the method on a card needs its name and its paper: give both in about['method'].")
    if "gain" in about:
        checked_gain(about["gain"], "about['gain']")
    return dict(about)


def checked_gain(gain: Any, where: str) -> dict[str, Any]:
    """Return a comparison of two models as it is.

    Raises:
        UsageError: It isn't what `hf_select.evaluation.compare` gives.
    """
    try:
        numbers = [*gain["runs"], *(number for entry in gain["tasks"] for number in _numbers(entry))]
        texts = [gain["model"], gain["baseline"], *(entry["task"] for entry in gain["tasks"])]
        right = len(gain["runs"]) == 2 and len(texts) > 2
    except (KeyError, TypeError, IndexError):
        right, numbers, texts = False, [], []
    if not right or not all(isinstance(n, int | float) for n in numbers) or not all(isinstance(t, str) for t in texts):
        raise UsageError(
            f"{where} is no comparison of two models: give the comparison.json that `hf-select eval` wrote."
        )
    return gain


def _numbers(entry: Mapping[str, Any]) -> list[Any]:
    ends = [entry["low"], entry["high"]]
    return [entry[name] for name in ("model", "baseline", "difference", "n")] + ([] if ends == [None, None] else ends)
