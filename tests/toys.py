"""A scorer without a model that writes down what it does, and small pools for it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pictures

from hf_select.pool.row import Row
from hf_select.scoring.scorer import Scorer, runtime

FORMATS = {
    "jpeg": lambda at: ("jpg", pictures.noise() + bytes([at])),
    "webp": lambda at: ("webp", pictures.encoded(_noise(at), "WEBP", quality=90)),
    "png": lambda at: ("png", pictures.encoded(_noise(at))),
    "exif": lambda at: ("jpg", pictures.exif6() + bytes([at])),
    "cmyk": lambda at: ("jpg", pictures.encoded(_noise(at).convert("CMYK"), "JPEG", quality=95)),
    "palette": lambda at: ("png", pictures.encoded(_noise(at).convert("P"))),
    "bmp": lambda at: ("bmp", pictures.encoded(_noise(at), "BMP")),
    "gif": lambda at: ("gif", pictures.animation() + bytes([at])),
}


def _noise(seed: int):
    import numpy as np
    from PIL import Image

    pixels = np.random.RandomState(seed).randint(0, 256, (24, 32, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@dataclass(frozen=True, kw_only=True)
class Settings:
    words: tuple[str, ...] = ("a",)
    power: int = 1


@dataclass(frozen=True, kw_only=True)
class Toy(Scorer):
    """`toy` = scale x letters of the answers + mean of the pixels; `toy_n` = letters; `toy_status`."""

    prefix: str = ""
    scale: float = 0.1
    limit: int | None = None
    names: list[str] | None = None
    table: dict[str, int] | None = None
    nested: Settings = Settings()
    device: str = runtime("cpu")
    micro_batch: int | None = runtime(None)
    log: str | None = runtime(None)
    die_at: int | None = runtime(None)

    @property
    def adds(self) -> dict[str, str]:
        return {f"{self.prefix}toy": "float32", f"{self.prefix}toy_n": "int32", f"{self.prefix}toy_status": "string"}

    def load(self):
        self.note("load")
        # A model can be anything, also what no pickle could carry.
        return threading.Lock(), lambda x: x, bytearray(1 << 20)

    def score(self, rows: Sequence[Row]) -> dict[str, list]:
        assert self.loaded is self.loaded
        values, letters, statuses = [], [], []
        for row in rows:
            self.note(row.key)
            bad = row.status != "ok"
            count = sum(map(len, row.answers))
            pixels = sum(image.open().resize((1, 1)).getpixel((0, 0))[0] for image in row.images) if not bad else 0
            values.append(None if bad else self.scale * count + pixels)
            letters.append(None if bad else count)
            statuses.append(row.status)
        return dict(zip(self.adds, (values, letters, statuses), strict=True))

    def note(self, line: str) -> None:
        if self.log is None:
            return
        with open(self.log, "a") as file:
            file.write(line + "\n")
        if self.die_at is not None and len(calls(self.log)) >= self.die_at and not Path(f"{self.log}.died").exists():
            Path(f"{self.log}.died").touch()
            os.kill(os.getpid(), signal.SIGKILL)


def calls(log) -> list[str]:
    """The keys of rows that were scored, in order, without the loads."""
    return [line for line in Path(log).read_text().split("\n")[:-1] if line != "load"]


def loads(log) -> int:
    return Path(log).read_text().split("\n").count("load") if Path(log).exists() else 0


def rows(n: int, image=lambda at: None) -> list[dict]:
    return [
        {
            "id": f"r{at}",
            "image": image(at),
            "conversations": [
                {"from": "human", "value": "<image>\nWhat is it?" if image(at) is not None else "What is it?"},
                {"from": "gpt", "value": "word " * (at % 7) + f"number {at}"},
            ],
        }
        for at in range(n)
    ]


def pool(n: int = 12, kind: str = "jpeg", folder: Path | None = None, decode: bool = True):
    """A LLaVA pool of n rows; images are embedded, or in files of `folder`."""
    import datasets

    def image(at: int) -> dict:
        suffix, data = FORMATS[kind](at)
        if folder is None:
            return {"bytes": data, "path": f"{at}.{suffix}"}
        path = folder / f"{at}.{suffix}"
        path.write_bytes(data)
        return {"bytes": None, "path": str(path)}

    images = {at: image(at) for at in range(n)}
    turn = {"from": datasets.Value("string"), "value": datasets.Value("string")}
    features = datasets.Features(
        id=datasets.Value("string"), image=datasets.Image(decode=decode), conversations=datasets.List(turn)
    )
    return datasets.Dataset.from_list(rows(n, images.get), features=features)


def on_disk(dataset, folder: Path):
    """The same rows as a dataset that is read from files."""
    import datasets

    dataset.save_to_disk(str(folder))
    return datasets.load_from_disk(str(folder))


def stored(dataset) -> list:
    """The image cells as they are stored."""
    return dataset.with_format("arrow")[:]["image"].to_pylist()
