"""A pool with trouble at known places: real pools are dirty, and a selector should notice.

In every task, of its rows: 10 % get the answers of another row of the task ("swapped"), 20 % are replaced by another
row of the task with a slightly changed crop of its picture ("near_duplicate"), and in 10 % each question is followed
by its answer, so that the picture isn't needed ("leaked"). The other 60 % are as they were; the pool's size stays.
"""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SHARES = {"swapped": 0.10, "near_duplicate": 0.20, "leaked": 0.10}
_KEPT = 0.86, 0.96


def make_dirty(pool: Path, out: Path, seed: int = 0) -> Path:
    """Write the dirtied copy of a pool; return its JSONL file.

    Args:
        pool: A JSONL file in the LLaVA schema with `task`, image paths relative to its folder.
        out: The new pool's folder, pictures included. Rows get a column `planted`: one of `SHARES`, or "".
        seed: Decides which rows, which partners and which crops.
    """
    target = out / "pool.jsonl"
    if target.exists():
        return target
    rows = [json.loads(line) for line in pool.read_text("utf-8").splitlines()]
    rng = np.random.default_rng(seed)
    shutil.copytree(pool.parent / "images", out / "images", dirs_exist_ok=True)
    changed = [{**row, "planted": ""} for row in rows]
    for task in sorted({row["task"] for row in rows}):
        mine = [at for at, row in enumerate(rows) if row["task"] == task]
        order = rng.permutation(mine).tolist()
        cut = [round(len(mine) * share) for share in SHARES.values()]
        swapped, copies, leaked = (order[sum(cut[:k]) : sum(cut[: k + 1])] for k in range(3))
        clean = order[sum(cut) :]
        for at in swapped:
            changed[at] = _with_answers(rows[at], _other_answers(rows, at, mine, rng), "swapped")
        for at in copies:
            changed[at] = _cropped(rows[int(rng.choice(clean))], at, pool.parent, out, rng)
        for at in leaked:
            changed[at] = _leaked(rows[at])
    part = target.with_suffix(".part")
    part.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in changed), "utf-8")
    part.replace(target)
    return target


def _answers(row: dict[str, Any]) -> list[str]:
    return [turn["value"] for turn in row["conversations"] if turn["from"] == "gpt"]


def _other_answers(rows: list[dict], at: int, mine: list[int], rng: np.random.Generator) -> list[str]:
    own = _answers(rows[at])
    for other in rng.permutation(mine).tolist():
        theirs = _answers(rows[other])
        if len(theirs) >= len(own) and all(a != b for a, b in zip(own, theirs, strict=False)):
            return theirs[: len(own)]
    return own[::-1] if len(set(own)) > 1 else ["unknown"] * len(own)


def _with_answers(row: dict[str, Any], answers: list[str], planted: str) -> dict[str, Any]:
    left = iter(answers)
    turns = [{**turn, "value": next(left)} if turn["from"] == "gpt" else turn for turn in row["conversations"]]
    return {**row, "conversations": turns, "planted": planted}


def _leaked(row: dict[str, Any]) -> dict[str, Any]:
    answers = _answers(row)
    left = iter(answers)
    turns = [
        {**turn, "value": f"{turn['value']}\nThe answer is: {next(left)}"} if turn["from"] == "human" else turn
        for turn in row["conversations"]
    ]
    return {**row, "conversations": turns, "planted": "leaked"}


def _cropped(row: dict[str, Any], at: int, source: Path, out: Path, rng: np.random.Generator) -> dict[str, Any]:
    picture = Image.open(source / row["image"]).convert("RGB")
    kept = rng.uniform(*_KEPT)
    width, height = round(picture.width * kept), round(picture.height * kept)
    left, top = int(rng.integers(picture.width - width + 1)), int(rng.integers(picture.height - height + 1))
    name = f"images/near_duplicates/{at:05d}.jpg"
    (out / name).parent.mkdir(parents=True, exist_ok=True)
    data = io.BytesIO()
    picture.crop((left, top, left + width, top + height)).save(data, "JPEG", quality=85)
    (out / name).write_bytes(data.getvalue())
    return {**row, "id": f"{row['id']}#crop{at}", "image": name, "planted": "near_duplicate"}
