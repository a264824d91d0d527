"""The study's learner (a): frozen picture features and a small decoder, so that hundreds of fits take a night of CPU.

From scratch nothing can be measured, so every fit starts from one *start model* that has read the texts of the plain
pool with the pictures shuffled among rows: it knows the language and the form of answers, and has seen nothing.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from decoder import ASSISTANT, USER, Decoder
from dirty_pool import make_dirty
from examples import CONTEXTS, Encoder, Example, vocabulary
from learning import answered, context_losses, facts, tune
from safetensors.torch import load_file, save_file
from vision_features import VisionFeatures, text_encoder

from hf_select.evaluation.report import SAMPLES, EvalReport, TaskResult
from hf_select.evaluation.study import FORWARD, SEED_MODEL, Trained
from hf_select.files import replacing
from hf_select.pool.read import read_pool
from hf_select.pool.view import PoolView
from hf_select.sampling.keys import unique_keys
from hf_select.sampling.kmeans import KMeansGroups
from hf_select.scoring.run import score_columns

_FREE_TEXT = ("anls", "rougeL")
LOOK = "Describe the picture."
CLUSTERS = (64, 256)


@dataclass(frozen=True, kw_only=True)
class SmallConfig:
    """How the small model is made and tuned; all of it decides the numbers.

    Attributes:
        vocabulary: Tokens of the BPE.
        width: Of the decoder.
        layers: Of the decoder.
        start_steps: Steps of 32 rows in which the start model learns language.
        seed_steps: Steps of the seed model on its few rows.
        epochs: Passes of a fit over the chosen rows.
        batch: Rows of a step of a fit or of the seed model.
        lr: Peak learning rate of a fit.
        start_lr: Peak learning rate of the start model.
    """

    vocabulary: int = 7000
    width: int = 192
    layers: int = 3
    start_steps: int = 480
    seed_steps: int = 48
    epochs: float = 1.0
    batch: int = 16
    lr: float = 1e-3
    start_lr: float = 2e-3


@dataclass(frozen=True)
class Rows:
    """A pool in memory: addresses, tasks, (question, answer) turns and rows of the picture features."""

    addresses: list[str]
    turns: list[tuple[tuple[str, str], ...]]
    tasks: list[str]
    pictures: list[int]


@dataclass(frozen=True, kw_only=True)
class SmallLearner:
    """See the module.

    Attributes:
        pools: Name -> JSONL file; one is "plain".
        held_out: JSONL file with a `metric` for each row.
        work: Folder of downloads, features, the start model and everything else that is made once.
        config: The settings.
        tuning: Whether a tenth of the pool, by id, stands in for the held-out rows and is never chosen: where choices
            of recipes are tried, so that the held-out rows decide nothing.
    """

    pools: Mapping[str, Path]
    held_out: Path
    work: Path
    config: SmallConfig = field(default_factory=SmallConfig)
    tuning: bool = False
    name: str = "EfficientNet-Lite0 + 3M decoder"

    def identity(self) -> dict[str, Any]:
        """What decides every number beside pool, rows and seed."""
        return asdict(self.config) | ({"tuning": True} if self.tuning else {})

    def facts(self, pool: str) -> pa.Table:
        """Row key, task and status of every row, and the column `planted` where the pool has one."""
        file = self.work / f"facts-{pool}.parquet"
        if not file.exists():
            dataset = read_pool(str(self.pools[pool]))
            columns = score_columns(dataset, view=PoolView(), cache_dir=self.work / "shards")
            table = columns.with_format("arrow")[:].select(["row_key", "row_task", "row_status"])
            planted = [json.loads(line).get("planted", "") for line in _lines(self.pools[pool])]
            _write(table.append_column("planted", pa.array(planted)), file)
        table = _read(file)
        if not self.tuning:
            return table
        ids = [json.loads(line)["id"] for line in _lines(self.pools[pool])]
        status = ["kept for tuning" if _for_tuning(one) else "ok" for one in ids]
        return table.set_column(table.column_names.index("row_status"), "row_status", pa.array(status))

    def scored(self, pool: str, seed_rows: Sequence[str], seed: int) -> tuple[pa.Table, dict[str, float]]:
        """Every column that any recipe needs, under a seed model tuned on `seed_rows`; and seconds by stage."""
        started = time.process_time()
        rows, features = self._rows(pool), self._features.array
        model = self._tuned([rows.addresses.index(key) for key in seed_rows], rows, self.config.seed_steps, seed)
        tuned = time.process_time()
        by_context = {
            name: [self._encoder.example(*pair, name) for pair in zip(rows.turns, rows.pictures, strict=True)]
            for name in CONTEXTS
        }
        found = facts(model, by_context["full"], features)
        once = time.process_time()
        columns: dict[str, Any] = {
            "loss_full": found["loss"].astype(np.float32),
            "tokens_full": found["tokens"].astype(np.int32),
            **context_losses(model, by_context, features),
            **{name: found[name].astype(np.float32) for name in ("el2n", "margin", "entropy")},
            **{f"{name}_hidden": _vectors(found[name]) for name in ("last", "coincide", "shallow", "attended")},
            "n_tokens": np.array([16 + len(one.ids) for one in by_context["full"]], np.int32),
        }
        table = self.facts(pool)
        for name, values in columns.items():
            table = table.append_column(name, pa.array(values) if isinstance(values, np.ndarray) else values)
        for name, column in self._encoded(pool).items():
            table = table.append_column(name, column)
        return table, {SEED_MODEL: tuned - started, FORWARD: once - tuned}

    def trained(self, pool: str, rows: Sequence[str] | None, seed: int) -> Trained:
        """Tune the start model on the chosen rows (or not at all) and ask it the held-out questions."""
        started = time.process_time()
        model, steps = self._start(), 0
        if rows is not None:
            mine = self._rows(pool)
            place = {address: at for at, address in enumerate(mine.addresses)}
            steps = max(1, round(self.config.epochs * len(rows) / self.config.batch))
            model = self._tuned([place[key] for key in rows], mine, steps, seed)
        tuned = time.process_time()
        report = self._evaluated(model)
        return Trained(report, steps, {"fit": tuned - started, "evaluate": time.process_time() - tuned})

    def prepare(self, pools: Sequence[str]) -> None:
        """Make what every later call reads: features, vocabulary, start model, and vectors of the named pools."""
        if "dirty" in pools:
            make_dirty(self.pools["plain"], self.pools["dirty"].parent)
        for pool in pools:
            self._rows(pool)
        self._start()
        for pool in pools:
            self._encoded(pool)

    def _tuned(self, chosen: Sequence[int], rows: Rows, steps: int, seed: int) -> Decoder:
        model = self._start()
        examples = [self._encoder.example(rows.turns[at], rows.pictures[at]) for at in chosen]
        tune(model, examples, self._features.array, steps=steps, seed=seed, lr=self.config.lr, size=self.config.batch)
        return model

    @cached_property
    def _features(self) -> VisionFeatures:
        return VisionFeatures(self.work)

    @cached_property
    def _encoder(self) -> Encoder:
        texts = [text for turns in self._rows("plain").turns for turn in turns for text in turn]
        return Encoder(vocabulary(texts, self.config.vocabulary, self.work / f"bpe-{self.config.vocabulary}.json"))

    def _rows(self, pool: str) -> Rows:
        known = self.__dict__.setdefault("_pools", {})
        if pool not in known:
            file = self.pools[pool]
            records = [json.loads(line) for line in _lines(file)]
            addresses = unique_keys(self.facts(pool)["row_key"].to_pylist())
            pictures = self._features.add(file.parent / record["image"] for record in records)
            known[pool] = Rows(addresses, [_turns(r) for r in records], [r["task"] for r in records], pictures)
        return known[pool]

    def _start(self) -> Decoder:
        """The start model; made once, from the texts of the plain pool with shuffled pictures."""
        size = self._encoder.tokenizer.get_vocab_size() + sum(CLUSTERS)
        torch.manual_seed(0)
        model = Decoder(size, self.config.width, self.config.layers)
        later = ("seed_steps", "epochs", "batch", "lr")
        made = {name: value for name, value in asdict(self.config).items() if name not in later}
        file = self.work / f"start-{'-'.join(f'{value:g}' for value in made.values())}.safetensors"
        if not file.exists():
            tune(
                model,
                self._start_examples(),
                self._features.array,
                steps=self.config.start_steps,
                seed=0,
                lr=self.config.start_lr,
            )
            with replacing(file) as part:
                save_file(model.state_dict(), part)
        model.load_state_dict(load_file(file))
        return model.eval()

    def _start_examples(self) -> list[Example]:
        """Language from the pool's texts without any picture, and looking from the pictures without any text.

        A text has loss on every token, a part of them asked the other way round (answer to question). A picture is
        answered by the numbers of the clusters its features lie in: it takes reading the picture's places, and tells
        nothing of what the rows say about it.
        """
        rows, rng = self._rows("plain"), np.random.default_rng(0)
        made = []
        kinds = rng.choice(["full", "inverse", "inverse_no_answer"], len(rows.turns), p=[0.7, 0.15, 0.15])
        for turns, kind in zip(rows.turns, kinds.tolist(), strict=True):
            one = self._encoder.example(turns, -1, kind)
            everything = np.ones(len(one.ids), bool)
            everything[0] = False
            made.append(Example(one.ids, everything, -1))
        asked = [USER, *self._encoder.tokens(LOOK), ASSISTANT]
        first = self._encoder.tokenizer.get_vocab_size()
        codes = self._codes(rows.pictures)
        for picture, numbers in zip(rows.pictures, (codes + first).tolist(), strict=True):
            supervised = np.array([False] * len(asked) + [True] * len(numbers))
            made.append(Example(np.array([*asked, *numbers], np.int32), supervised, picture))
        return made

    def _codes(self, pictures: Sequence[int]) -> np.ndarray:
        """int64 (pictures, clusterings): the cluster of each picture in each clustering, numbered through."""
        vectors = _unit(self._features.array[pictures].mean(1, dtype=np.float32))
        keys = [f"{at:06d}" for at in range(len(pictures))]
        found, first = [], 0
        for k in CLUSTERS:
            found.append(KMeansGroups(k=k, spherical=True).assign(vectors, keys).codes + first)
            first += k
        return np.stack(found, 1)

    def _encoded(self, pool: str) -> dict[str, pa.Array]:
        """Columns of the small encoders: picture vector, vector of the first question, and how well the two agree."""
        file = self.work / f"encoders-{pool}.parquet"
        if not file.exists():
            from hf_select.embedding.text import TextEmbedding

            rows = self._rows(pool)
            images = _unit(self._features.array[rows.pictures].mean(1, dtype=np.float32))
            dataset = read_pool(str(self.pools[pool]))
            scorer = TextEmbedding(model=str(text_encoder(self.work)), max_length=128, device="cpu")
            made = score_columns(dataset, scorer, view=PoolView(), cache_dir=self.work / "shards")
            texts = np.array(made.with_format("numpy")["text_embedding"], np.float32)
            columns = {"embedding": _vectors(images), "text_embedding": _vectors(texts)}
            _write(pa.table(columns | {"clip_score": pa.array(_agreement(images, texts))}), file)
        table = _read(file)
        return {name: table[name] for name in table.column_names}

    def _evaluated(self, model: Decoder) -> EvalReport:
        records, examples = self._held_out
        found = answered(model, examples, self._features.array)
        samples = []
        for record, turns in zip(records, found.right, strict=True):
            free = record["metric"] in _FREE_TEXT
            for turn, right in enumerate(turns):
                samples.append(
                    {
                        "task": record["task"],
                        "doc_id": turn,
                        "document": f"{record['id']}#{turn}",
                        "prompt": "",
                        "answer": "",
                        "target": _turns(record)[turn][1],
                        "score": float(right[:-1].mean() if free else right.all()),
                    }
                )
        results = []
        for task in sorted({record["task"] for record in records}):
            scores = [one["score"] for one in samples if one["task"] == task]
            mine = [at for at, record in enumerate(records) if record["task"] == task]
            error = float(np.std(scores, ddof=1) / len(scores) ** 0.5)
            metric = "token_accuracy" if records[mine[0]]["metric"] in _FREE_TEXT else "exact_match"
            results.append(TaskResult(task, metric, float(np.mean(scores)), 1.0, len(scores), error, "", {}, 0.0))
        versions = {"torch": torch.__version__}
        table = pa.Table.from_pylist(samples, SAMPLES)
        return EvalReport(self.name, "", "held-out", tuple(results), versions, table)

    @cached_property
    def _held_out(self) -> tuple[list[dict[str, Any]], list[Example]]:
        metrics = {record["task"]: record["metric"] for record in map(json.loads, _lines(self.held_out))}
        file = self.pools["plain"] if self.tuning else self.held_out
        records = [json.loads(line) for line in _lines(file)]
        if self.tuning:
            records = [r | {"metric": metrics[r["task"]]} for r in records if _for_tuning(r["id"])]
        pictures = self._features.add(file.parent / record["image"] for record in records)
        return records, [self._encoder.example(_turns(r), p) for r, p in zip(records, pictures, strict=True)]


def _for_tuning(row_id: str) -> bool:
    return hashlib.blake2b(row_id.partition("#")[0].encode(), digest_size=1).digest()[0] % 10 == 0


def _turns(record: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    said = [turn["value"].replace("<image>", "").strip() for turn in record["conversations"]]
    return tuple(zip(said[::2], said[1::2], strict=True))


def _agreement(images: np.ndarray, texts: np.ndarray) -> np.ndarray:
    """Cosine between a text and what a ridge regression makes of its picture: a weak stand-in for CLIP.

    No package ships a dual encoder, so one is fitted on the pool's own pairs; no number of CLIP's may be read from it.
    """
    centred = images - images.mean(0)
    weights = np.linalg.solve(centred.T @ centred + 10 * np.eye(images.shape[1]), centred.T @ (texts - texts.mean(0)))
    return (_unit(centred @ weights + texts.mean(0)) * texts).sum(1).astype(np.float32)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def _vectors(matrix: np.ndarray) -> pa.FixedSizeListArray:
    flat = pa.array(np.ascontiguousarray(matrix, np.float32).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, matrix.shape[1])


def _lines(file: Path) -> list[str]:
    return file.read_text("utf-8").splitlines()


def _write(table: pa.Table, file: Path) -> None:
    import pyarrow.parquet as pq

    with replacing(file) as part:
        pq.write_table(table, part)


def _read(file: Path) -> pa.Table:
    import pyarrow.parquet as pq

    return pq.read_table(file)
