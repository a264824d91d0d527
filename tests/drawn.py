"""A small pool with pictures in it, for tests that need one from end to end."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image

COLOURS = {"red": (200, 30, 40), "blue": (20, 40, 210), "green": (20, 160, 60), "yellow": (230, 210, 40)}


def pool(folder: Path, rows: int = 40) -> Path:
    """Write `rows` rows of two tasks in the LLaVA schema (and their pictures) to `folder`; return the JSONL file."""
    (folder / "images").mkdir(parents=True)
    names = list(COLOURS)
    with (folder / "pool.jsonl").open("w") as file:
        for number in range(rows):
            name = names[number % len(names)]
            side = 10 + number
            image = f"images/{number}.png"
            Image.new("RGB", (side, side), COLOURS[name]).save(folder / image)
            if number % 3:
                task, question, answer = "colour", "What colour is the square?", name.capitalize() + "."
            else:
                task, question, answer = "count", "How many circles are there?", str(number % 7)
            turns = [{"from": "human", "value": f"<image>\n{question}"}, {"from": "gpt", "value": answer}]
            row = {"id": f"r{number}", "image": image, "task": task, "conversations": turns}
            file.write(json.dumps(row) + "\n")
    return folder / "pool.jsonl"
