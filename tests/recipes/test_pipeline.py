"""Where a pool came from, as cards and recipes say it; choices are reused for the same inputs only."""

import drawn
import numpy as np
import pyarrow as pa
import pytest
from hub import LoopbackHub

from hf_select.pool.read import read_pool
from hf_select.recipes.pipeline import Pipeline, Source
from hf_select.recipes.stages import RunFolder
from hf_select.sampling.centrality import CentralitySampler


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with LoopbackHub() as running:
        running.here(monkeypatch, tmp_path / "home", running.me)
        yield running


def pipeline(pool, folder, **options):
    return Pipeline(Source(pool=pool, **options), RunFolder(folder))


def test_a_hub_pool_is_named_without_and_pinned_with_the_commit_it_was_read_at(hub, tmp_path):
    read_pool(str(drawn.pool(tmp_path / "pool"))).push_to_hub("me/pool")
    sha = hub.repos["datasets", "me/pool"].branches["main"]
    for pool, more in (("me/pool", {}), (f"me/pool@{sha}", {}), ("me/pool", {"revision": "main"})):
        run = pipeline(pool, tmp_path / "run", **more)
        assert (run.source.name, run.pool_revision) == ("me/pool", sha)


def test_a_local_pool_is_its_files_name_and_has_no_revision(tmp_path):
    run = pipeline(str(drawn.pool(tmp_path / "a@b" / "pool")), tmp_path / "run")
    assert (run.source.name, run.pool_revision) == ("pool.jsonl", None)


def test_sel_27_new_vectors_in_the_same_folder_are_clustered_again(tmp_path):
    source = Source(pool=str(drawn.pool(tmp_path / "pool", rows=10)))

    def chosen(seed, folder):
        run = Pipeline(source, RunFolder(folder))
        facts = run.check()
        vectors = np.random.default_rng(seed).normal(size=(10, 4)).astype(np.float32)
        rows = facts.append_column("embedding", pa.FixedSizeListArray.from_arrays(vectors.ravel(), 4))
        sampler = CentralitySampler(clusters=3)
        return run.choose("select", {"encoder": f"of seed {seed}"}, lambda: sampler.select(rows, 6))

    first, second = chosen(1, tmp_path / "run"), chosen(2, tmp_path / "run")
    assert second == chosen(2, tmp_path / "empty")
    assert first != second and first == chosen(1, tmp_path / "run")
