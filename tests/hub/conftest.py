"""A subset of a drawn pool, and a way to publish it."""

from __future__ import annotations

import io
from dataclasses import replace
from functools import partial

import drawn
import pyarrow as pa
import pytest
from PIL import Image

from hf_select.hub.content import Content
from hf_select.hub.publish import publish
from hf_select.hub.replay import columns_to_share
from hf_select.pool.read import read_pool
from hf_select.pool.view import PoolView
from hf_select.sampling.budget import Budget
from hf_select.sampling.grouped import GroupedSampler
from hf_select.scoring.run import score_columns


@pytest.fixture(scope="module")
def pool_file(tmp_path_factory):
    return drawn.pool(tmp_path_factory.mktemp("user-canary") / "pool")


@pytest.fixture(scope="module")
def pool(pool_file):
    return read_pool(str(pool_file))


@pytest.fixture(scope="module")
def scored(pool):
    columns = score_columns(pool).with_format("arrow")[:]
    return columns.append_column("worth", pa.array([float(i % 7) for i in range(len(columns))], pa.float64()))


@pytest.fixture(scope="module")
def content(pool, scored):
    picked = GroupedSampler(score="worth", bins=4).select(scored, Budget(12), seed=3)
    about = {
        "pool": "pool.jsonl",
        "pool_revision": None,
        "pool_rows": 40,
        "method": {"name": "grouped", "paper": "arXiv 2503.20502", "necessity": "worth", "bins": 4},
        "model": "tiny",
        "budget": "12 rows",
        "seed": 3,
        "tasks": [{"task": "a|b <x>", "rows": 40, "usable": 40, "picked": 12, "share": 0.3, "mean_score": 1.0}],
        "scorers": [{"name": "AnswerLoss", "version": 1, "model": "tiny", "weights": "abc", "dtype": "float32"}],
        "licences": {"a": "cc-by-4.0", "b": "other", "c": None},
        "command": "hf-select run mllm_selector --pool pool.jsonl --budget 12",
    }
    about["tasks"][0]["mean_score_picked"] = None
    rows = picked.apply(pool)
    return Content(
        selection=picked, about=about, view=PoolView(), rows=rows, scored=columns_to_share(picked, scored, "here")
    )


@pytest.fixture
def waits():
    return []


@pytest.fixture
def send(content, waits, monkeypatch):
    """Publish the content, with plots that take no time to draw."""
    for shade, name in enumerate(("score_histogram", "task_shares")):
        dot = io.BytesIO()
        Image.new("L", (1, 1), shade).save(dot, "PNG")
        monkeypatch.setattr(f"hf_select.report.plots.{name}", partial(lambda image, *values: image, dot.getvalue()))

    def send(repo_id="me/vit", **options):
        given = {name: options.pop(name) for name in ("selection", "about", "rows") if name in options}
        return publish(replace(content, **given), repo_id, sleep=waits.append, **options)

    return send
