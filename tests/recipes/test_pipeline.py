"""Where a pool came from, as cards and recipes say it."""

import drawn
import pytest
from hub import LoopbackHub

from hf_select.pool.read import read_pool
from hf_select.recipes.pipeline import Pipeline, Source
from hf_select.recipes.stages import RunFolder


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
