"""Instructions for the pictures of a selection: asked once, journalled as they come, joined with the rows."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_select.annotate.annotator import Annotator, Request, Said, Turns
from hf_select.annotate.chosen import Chosen, chosen_rows, requests
from hf_select.annotate.cost import Rates
from hf_select.annotate.journal import ATTEMPTS, Entry, Journal, entry_of, request_key
from hf_select.annotate.parse import PLACE, REMINDER, Unreadable, parse_turns
from hf_select.annotate.prompts import Prompts
from hf_select.errors import HFSelectError, UsageError
from hf_select.pool.row import OK
from hf_select.pool.schema import IMAGE_COLUMNS

if TYPE_CHECKING:
    from datasets import Dataset

    from hf_select.pool.view import PoolView
    from hf_select.sampling.selection import Selection


@dataclass(frozen=True)
class Annotated:
    """The rows of a selection with their instructions.

    Attributes:
        dataset: In pick order: the pool's image columns untouched, `pool_key` (the address), `task`, `conversations` in
            the LLaVA schema (null without an instruction), `annotation_status` and `annotation_reason`.
        asked: Rows that were asked for, over all runs.
        reused: Those of them whose answers lay in the journal.
        tokens_in: Tokens paid for on the way in, over all runs in the folder.
        tokens_out: Tokens paid for on the way out.
        cost: Their price.
    """

    dataset: Dataset
    asked: int
    reused: int
    tokens_in: int
    tokens_out: int
    cost: float

    @property
    def statuses(self) -> dict[str, int]:
        """How many rows have each status."""
        return dict(sorted(Counter(self.dataset["annotation_status"]).items()))

    @property
    def ok_keys(self) -> list[str]:
        """The addresses of the rows that have an instruction, in pick order."""
        told = zip(self.dataset["pool_key"], self.dataset["annotation_status"], strict=True)
        return [key for key, status in told if status == OK]

    @property
    def ready(self) -> Dataset:
        """The rows that have an instruction."""
        ok = [at for at, status in enumerate(self.dataset["annotation_status"]) if status == OK]
        return self.dataset if len(ok) == len(self.dataset) else self.dataset.select(ok)

    def summary(self) -> dict[str, Any]:
        """Counts as plain values."""
        counts = {"rows": len(self.dataset), "asked": self.asked, "reused": self.reused, "statuses": self.statuses}
        return counts | {"tokens_in": self.tokens_in, "tokens_out": self.tokens_out, "cost": round(self.cost, 6)}


def annotate(
    pool: Dataset,
    selection: Selection,
    annotator: Annotator,
    folder: str | Path,
    *,
    view: PoolView,
    prompts: Prompts | None = None,
    rates: Rates | None = None,
    max_cost: float | None = None,
    retry_failed: bool = False,
    note: Callable[[str], None] = lambda text: None,
) -> Annotated:
    """Have instructions written for the rows of `selection`.

    Every answer is on disk before the next is waited for, so that the same call asks only for what is missing, after a
    kill too, and selections that share rows share their answers. An answer that can't be read is asked for once more
    and then kept with its status; refusals are kept at once. No row is left out: one without an instruction has a
    status and a reason. A row whose requests met only passing trouble is "unanswered", and asked for by the next call.

    Args:
        pool: The pool the rows were chosen from.
        selection: The rows.
        annotator: Who writes.
        folder: Holds `journal.jsonl`.
        view: How the rows are read, normally `PoolView(schema="images")`.
        prompts: The prompt of every task.
        rates: Prices, for `cost` and `max_cost`.
        max_cost: No further row is asked for when the answers in the folder have cost so much; what is under way is
            still paid for.
        retry_failed: Ask again, from the beginning, for what was refused, rejected or could not be read.
        note: Called with one sentence of progress at a time.

    Raises:
        HFSelectError: The annotator can't go on, or `max_cost` is reached; says how many answers are there.
        UsageError: The annotator can't answer for this pool at all.

    Cost: the annotator's; beside it two looks at the pictures' bytes. Memory: one small record a row, and the pictures
    of the requests under way.
    """
    prompts, rates = prompts or Prompts(), rates or Rates()
    chosen, keys, journal, todo = _plan(pool, selection, annotator, folder, view, prompts, retry_failed)
    lost: dict[str, Said] = {}
    if todo:
        note(f"asking for the instructions of {len(todo):,} of {len(chosen):,} rows")
        lost = _ask(pool, annotator, todo, view, keys, journal, rates, max_cost)
    ends = {address: _end(journal.final(key), lost.get(address)) for address, key in keys.items()}
    dataset = _dataset(pool, chosen, ends)
    cost = rates.cost(journal.tokens_in, journal.tokens_out)
    return Annotated(dataset, len(keys), len(keys) - len(todo), journal.tokens_in, journal.tokens_out, cost)


def missing_rows(
    pool: Dataset,
    selection: Selection,
    annotator: Annotator,
    folder: str | Path,
    *,
    view: PoolView,
    prompts: Prompts | None = None,
    retry_failed: bool = False,
) -> list[Chosen]:
    """Return the rows that `annotate` would ask for with these arguments; asks and writes nothing."""
    return _plan(pool, selection, annotator, folder, view, prompts or Prompts(), retry_failed)[3]


def _plan(
    pool: Dataset,
    selection: Selection,
    annotator: Annotator,
    folder: str | Path,
    view: PoolView,
    prompts: Prompts,
    retry_failed: bool,
) -> tuple[list[Chosen], dict[str, str], Journal, list[Chosen]]:
    """Return all rows, the journal keys of those that can be asked for, the journal, and the rows to ask for now."""
    chosen = chosen_rows(pool, selection, view, prompts)
    journal, identity = Journal(Path(folder)), annotator.identity()
    if annotator.is_free:
        # The pool's own instructions may change while its pictures don't; reading them again costs nothing.
        identity = identity | {"pool": pool._fingerprint}
    keys = {one.address: request_key(one, identity) for one in chosen if one.status == OK}
    if retry_failed:
        journal.forget_failed(keys.values())
    todo = [one for one in chosen if one.status == OK and journal.final(keys[one.address]) is None]
    return chosen, keys, journal, todo


def _ask(
    pool: Dataset,
    annotator: Annotator,
    todo: Sequence[Chosen],
    view: PoolView,
    keys: dict[str, str],
    journal: Journal,
    rates: Rates,
    max_cost: float | None,
) -> dict[str, Said]:
    """Ask for everything that is missing, then once more for what could not be read; return the passing failures."""
    stopped = False
    lost: dict[str, Said] = {}

    def affordable(waiting: Iterable[Chosen]) -> Iterator[Request]:
        nonlocal stopped
        for request in requests(pool, waiting, view):
            if max_cost is not None and rates.cost(journal.tokens_in, journal.tokens_out) >= max_cost:
                stopped = True
                return
            again = keys[request.address] in journal.entries
            yield replace(request, prompt=f"{request.prompt}\n{REMINDER}") if again else request

    try:
        for _ in range(ATTEMPTS):
            waiting = [one for one in todo if journal.final(keys[one.address]) is None and one.address not in lost]
            for request, said in annotator.ask(pool, affordable(waiting)):
                if said.passing:
                    lost[request.address] = said
                else:
                    _keep(journal, keys[request.address], request, said)
    except UsageError:
        raise
    except HFSelectError as error:
        raise _ended(str(error), todo, keys, journal) from error
    if stopped:
        spent = f"{rates.cost(journal.tokens_in, journal.tokens_out):.4f}"
        raise _ended(f"the answers have cost {spent}, which reaches the limit of {max_cost}.", todo, keys, journal)
    return lost


def _ended(why: str, todo: Sequence[Chosen], keys: dict[str, str], journal: Journal) -> HFSelectError:
    done = sum(journal.final(keys[one.address]) is not None for one in todo)
    return HFSelectError(
        f"{why} {done} of {len(todo)} missing instructions came; the same command goes on with the rest."
    )


def _keep(journal: Journal, key: str, request: Request, said: Said) -> None:
    attempt = 2 if key in journal.entries else 1
    journal.write(_entry(request, key, attempt, said))


def _entry(request: Request, key: str, attempt: int, said: Said) -> Entry:
    paid = {"text": said.text, "tokens_in": said.tokens_in, "tokens_out": said.tokens_out}
    if said.status:
        return entry_of(request, key, attempt, said.status, said.reason, **paid)
    if said.text is None:
        return entry_of(request, key, attempt, OK, turns=said.turns, **paid)
    try:
        return entry_of(request, key, attempt, OK, turns=parse_turns(said.text), **paid)
    except Unreadable as error:
        return entry_of(request, key, attempt, error.status, str(error), **paid)


def _end(entry: Entry | None, lost: Said | None) -> tuple[str, str, Turns]:
    """Status, reason and turns of a row that was asked for."""
    if entry is not None:
        return entry.status, entry.reason, entry.turns
    return (lost.status, lost.reason, ()) if lost is not None else ("unanswered", "the annotator left it out", ())


def _dataset(pool: Dataset, chosen: Sequence[Chosen], ends: dict[str, tuple[str, str, Turns]]) -> Dataset:
    from datasets import Dataset, Features, Value

    from hf_select.scoring.attach import attach

    names = ("pool_key", "id", "task", "conversations", "annotation_status", "annotation_reason")
    columns: dict[str, list[Any]] = {name: [] for name in names}
    for one in chosen:
        status, reason, turns = ends.get(one.address, (one.status, one.reason, ()))
        spoken = _conversation(len(one.images), turns) if status == OK else None
        for name, value in zip(columns, (one.address, one.id, one.task, spoken, status, reason), strict=True):
            columns[name].append(value)
    positions = [one.position for one in chosen]
    text = Value("string")
    features = Features({name: text for name in columns} | {"conversations": [{"from": text, "value": text}]})
    pictures = pool.select_columns([name for name in IMAGE_COLUMNS if name in pool.column_names]).select(positions)
    dataset = attach(pictures, Dataset.from_dict(columns, features=features))
    # The same rows and answers are the same dataset in every process: what is trained on them is found again.
    told = json.dumps([pool._fingerprint, positions, columns], ensure_ascii=True)
    dataset._fingerprint = hashlib.blake2b(told.encode(), digest_size=16).hexdigest()
    return dataset


def _conversation(n_images: int, turns: Turns) -> list[dict[str, str]]:
    """The turns in the LLaVA schema; pictures that no question gives a place stand in front."""
    unplaced = n_images - sum(question.count(PLACE) for question, _ in turns)
    said = []
    for number, (question, answer) in enumerate(turns):
        said.append({"from": "human", "value": question if number else f"{PLACE}\n" * unplaced + question})
        said.append({"from": "gpt", "value": answer})
    return said
