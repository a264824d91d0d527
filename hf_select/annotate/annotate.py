"""Instructions for the pictures of a selection: asked once, journalled as they come, joined with the rows."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_select.annotate.annotator import Annotator, Request, Said
from hf_select.annotate.cost import Rates
from hf_select.annotate.journal import Entry, Journal, entry_of, request_key
from hf_select.annotate.parse import REMINDER, Unreadable, parse_turns
from hf_select.annotate.prompts import Prompts
from hf_select.errors import HFSelectError
from hf_select.pool.row import OK
from hf_select.pool.schema import IMAGE_COLUMNS

if TYPE_CHECKING:
    from datasets import Dataset

    from hf_select.pool.row import Row
    from hf_select.pool.view import PoolView
    from hf_select.sampling.selection import Selection

_AT_ONCE = 256


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


def requests_of(
    pool: Dataset, selection: Selection, view: PoolView, prompts: Prompts
) -> tuple[list[int], list[Row], list[Request]]:
    """Return positions and rows of a selection in pick order, and a request for each row that can be used."""
    positions = selection.indices(pool, view).tolist()
    chosen = pool.select(positions).with_format("arrow")
    rows = [row for at in range(0, len(chosen), _AT_ONCE) for row in view.rows(chosen[at : at + _AT_ONCE])]
    asked = zip(selection.keys, positions, rows, strict=True)
    usable = [Request(key, at, row, prompts.of(row.task)) for key, at, row in asked if row.status == OK]
    return positions, rows, usable


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
    note: Callable[[str], None] = lambda text: None,
) -> Annotated:
    """Have instructions written for the rows of `selection`.

    Every answer is on disk before the next is waited for, so that the same call asks only for what is missing, after a
    kill too, and selections that share rows share their answers. An answer that can't be read is asked for once more
    and then kept with its status; refusals are kept at once. No row is left out: one without an instruction has a
    status and a reason.

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
        note: Called with one sentence of progress at a time.

    Raises:
        HFSelectError: The annotator can't go on, or `max_cost` is reached; says how many answers are there.

    Cost: the annotator's; beside it one look at the pictures' bytes.
    """
    prompts, rates = prompts or Prompts(), rates or Rates()
    positions, rows, requests = requests_of(pool, selection, view, prompts)
    journal, identity = Journal(Path(folder)), annotator.identity()
    keys = {request.address: request_key(request, identity) for request in requests}
    reused = sum(journal.final(keys[request.address]) is not None for request in requests)
    todo = [request for request in requests if journal.final(keys[request.address]) is None]
    if todo:
        note(f"asking for the instructions of {len(todo):,} of {len(rows):,} rows")
        _ask(pool, annotator, todo, keys, journal, rates, max_cost)
    entries = {request.address: journal.final(keys[request.address]) for request in requests}
    dataset = _dataset(pool, positions, selection.keys, rows, entries)
    cost = rates.cost(journal.tokens_in, journal.tokens_out)
    return Annotated(dataset, len(requests), reused, journal.tokens_in, journal.tokens_out, cost)


def _ask(
    pool: Dataset,
    annotator: Annotator,
    todo: Sequence[Request],
    keys: dict[str, str],
    journal: Journal,
    rates: Rates,
    max_cost: float | None,
) -> None:
    """Ask for everything that is missing, then once more for what could not be read."""
    stopped = False

    def affordable(requests: Sequence[Request]) -> Iterator[Request]:
        nonlocal stopped
        for request in requests:
            if max_cost is not None and rates.cost(journal.tokens_in, journal.tokens_out) >= max_cost:
                stopped = True
                return
            yield request

    try:
        for _ in range(2):
            waiting = [r for r in todo if journal.final(keys[r.address]) is None]
            repeated = [_again(r) if keys[r.address] in journal.entries else r for r in waiting]
            for request, said in annotator.ask(pool, affordable(repeated)):
                key = keys[request.address]
                journal.write(_entry(request, key, 2 if key in journal.entries else 1, said))
    except HFSelectError as error:
        raise HFSelectError(f"{error} {_progress(todo, keys, journal)}") from error
    if stopped:
        spent = f"{rates.cost(journal.tokens_in, journal.tokens_out):.4f}"
        told = _progress(todo, keys, journal)
        raise HFSelectError(f"the answers have cost {spent}, which reaches the limit of {max_cost}. {told}")


def _again(request: Request) -> Request:
    return Request(request.address, request.position, request.row, f"{request.prompt}\n{REMINDER}")


def _progress(todo: Sequence[Request], keys: dict[str, str], journal: Journal) -> str:
    done = sum(journal.final(keys[request.address]) is not None for request in todo)
    return f"{done} of {len(todo)} missing instructions came; the same command goes on with the rest."


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


def _dataset(
    pool: Dataset, positions: list[int], addresses: Sequence[str], rows: Sequence[Row], entries: dict[str, Entry | None]
) -> Dataset:
    from datasets import Dataset, Features, Value

    from hf_select.scoring.attach import attach

    names = ("pool_key", "id", "task", "conversations", "annotation_status", "annotation_reason")
    columns: dict[str, list[Any]] = {name: [] for name in names}
    for address, row in zip(addresses, rows, strict=True):
        entry = entries.get(address)
        status, reason = (row.status, row.reason) if entry is None else (entry.status, entry.reason)
        spoken = _conversation(row, entry.turns) if entry is not None and status == OK else None
        for name, value in zip(columns, (address, row.id, row.task, spoken, status, reason), strict=True):
            columns[name].append(value)
    text = Value("string")
    features = Features({name: text for name in columns} | {"conversations": [{"from": text, "value": text}]})
    pictures = pool.select_columns([name for name in IMAGE_COLUMNS if name in pool.column_names]).select(positions)
    dataset = attach(pictures, Dataset.from_dict(columns, features=features))
    # The same rows and answers are the same dataset in every process: what is trained on them is found again.
    told = json.dumps([pool._fingerprint, positions, columns], ensure_ascii=True)
    dataset._fingerprint = hashlib.blake2b(told.encode(), digest_size=16).hexdigest()
    return dataset


def _conversation(row: Row, turns: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    places = "<image>\n" * len(row.images)
    said = []
    for number, (question, answer) in enumerate(turns):
        said.append({"from": "human", "value": question if number else places + question})
        said.append({"from": "gpt", "value": answer})
    return said
