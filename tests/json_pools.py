"""Rows of the LLaVA schema and files of them, for tests that read local JSON."""

import json

RED = "img/red8x6.png"
BLUE = "img/blue8x6.png"


def turns(question="<image>\nColour?", answer="Red."):
    return [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]


def row(**fields):
    return {"conversations": turns(), **fields}


def write(root, name, records):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".json":
        path.write_text(json.dumps(records, indent=1))
    else:
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path
