"""Draws the demo's pool and its held-out documents into a folder, with planted copies and planted wrong answers.

The pool is `pool.jsonl` in the LLaVA schema with PNG files beside it, so the demo reads it as it would read anybody's.
What was planted stands in `planted.json` only, where no selector looks.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from random import Random

from hf_select.demo.tasks import SHARES, TASKS, Example, example
from hf_select.errors import UsageError

VERSION = 1
"""Raised by hand when the same arguments draw other pictures or rows."""

COPIES = 0.10
"""Share of the pool's rows that are exact copies of another row."""

WRONG = 0.04
"""Share of the pool's rows that carry the answer of another row of the same task."""

_COPIED_TASKS = ("color", "shape", "present")


@dataclass(frozen=True)
class Document:
    """One held-out question."""

    task: str
    image: Path
    question: str
    answer: str


@dataclass(frozen=True)
class DemoPool:
    """A drawn pool on disk.

    Attributes:
        folder: Holds `pool.jsonl`, `heldout.jsonl`, `planted.json` and the pictures.
        copies: Ids of the rows that are copies of an earlier drawn row (the first of its kind is not in it).
        wrong: Ids of the rows whose answer is wrong.
    """

    folder: Path
    copies: frozenset[str]
    wrong: frozenset[str]

    @property
    def file(self) -> Path:
        """The pool, in the LLaVA schema."""
        return self.folder / "pool.jsonl"

    def held_out(self) -> list[Document]:
        """The held-out documents, task by task."""
        rows = map(json.loads, (self.folder / "heldout.jsonl").read_text("utf-8").splitlines())
        return [Document(r["task"], self.folder / r["image"], r["question"], r["answer"]) for r in rows]


def draw_pool(folder: Path, *, rows: int = 2000, held_out: int = 40, seed: int = 0) -> DemoPool:
    """Draw a pool of `rows` rows and `held_out` documents a task into `folder`; the same seed gives the same files.

    Args:
        folder: Used as it is if it holds this very pool; another drawn pool in it is replaced.
        rows: Rows of the pool, planted ones included; at least 100.
        held_out: Held-out documents of each task.
        seed: Decides every picture, question, copy and wrong answer. Held-out pictures come from streams of their own.

    Raises:
        UsageError: Too few rows, or `folder` holds something else.

    Cost: about 3 ms a picture.
    """
    if rows < 100 or held_out < 1:
        raise UsageError(
            f"a demo pool has at least 100 rows and 1 held-out document a task, not {rows} and {held_out}."
        )
    made_for = {"version": VERSION, "rows": rows, "held_out": held_out, "seed": seed}
    record = folder / "planted.json"
    if folder.exists() and any(folder.iterdir()):
        if not record.is_file():
            raise UsageError(f"{folder} is not empty and holds no drawn pool: choose another folder.")
        known = json.loads(record.read_text("utf-8"))
        if known["made_for"] == made_for:
            return DemoPool(folder, frozenset(known["copies"]), frozenset(known["wrong"]))
        shutil.rmtree(folder)
    # Drawn beside and moved, so that a killed drawing leaves no half pool behind.
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    (part / "images").mkdir(parents=True)
    copies, wrong = _write_pool(part, rows, seed)
    _write_held_out(part, held_out, seed)
    about = {"made_for": made_for, "copies": sorted(copies), "wrong": sorted(wrong)}
    (part / "planted.json").write_text(json.dumps(about), "utf-8")
    if folder.exists():
        folder.rmdir()
    part.replace(folder)
    return DemoPool(folder, frozenset(copies), frozenset(wrong))


def _write_held_out(folder: Path, held_out: int, seed: int) -> None:
    with (folder / "heldout.jsonl").open("w", encoding="utf-8") as file:
        for task in TASKS:
            rng = Random(f"{seed}:held out:{task}")
            for number in range(held_out):
                drawn = example(task, rng)
                name = f"images/held-out-{task}-{number:03d}.png"
                drawn.image.save(folder / name)
                line = {"task": task, "image": name, "question": drawn.question, "answer": drawn.answer}
                file.write(json.dumps(line) + "\n")


def _write_pool(folder: Path, rows: int, seed: int) -> tuple[list[str], list[str]]:
    rng = Random(f"{seed}:pool")
    planned_copies, planned_wrong = round(COPIES * rows), round(WRONG * rows)
    drawn = _originals(rows - planned_copies, seed)
    kinds = [""] * len(drawn)
    for index in rng.sample(range(len(drawn)), planned_wrong):
        others = sorted({e.answer for e in drawn if e.task == drawn[index].task} - {drawn[index].answer})
        right = drawn[index]
        drawn[index] = Example(right.task, right.image, right.question, rng.choice(others))
        kinds[index] = "wrong"
    clean = [e for e, kind in zip(drawn, kinds, strict=True) if not kind and e.task in _COPIED_TASKS]
    # A few rows are copied many times, as a crawl does, and not many rows once.
    sources = rng.sample(clean, max(1, planned_copies // 8))
    drawn += [rng.choice(sources) for _ in range(planned_copies)]
    kinds += ["copy"] * planned_copies
    order = rng.sample(range(rows), rows)
    planted: dict[str, list[str]] = {"copy": [], "wrong": []}
    with (folder / "pool.jsonl").open("w", encoding="utf-8") as file:
        for number, index in enumerate(order):
            name, row = f"{number:05d}", drawn[index]
            row.image.save(folder / f"images/{name}.png")
            file.write(json.dumps(_llava(name, row)) + "\n")
            if kinds[index]:
                planted[kinds[index]].append(name)
    return planted["copy"], planted["wrong"]


def _originals(count: int, seed: int) -> list[Example]:
    sizes = {task: int(share * count) for task, share in SHARES.items()}
    sizes[TASKS[0]] += count - sum(sizes.values())
    return [example(task, rng) for task in TASKS for rng in [Random(f"{seed}:{task}")] for _ in range(sizes[task])]


def _llava(name: str, row: Example) -> dict[str, object]:
    turns = [
        {"from": "human", "value": f"<image>\n{row.question}"},
        {"from": "gpt", "value": row.answer},
    ]
    return {"id": name, "image": f"images/{name}.png", "task": row.task, "conversations": turns}
