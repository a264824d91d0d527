"""README's Python runs as it stands, but for the names of a pool and a model that only a Hub has."""

import os
import re

import datasets
import pytest

import hf_select as hs


def blocks(root):
    return re.findall(r"```python\n(.*?)```", (root / "README.md").read_text("utf-8"), re.S)


@pytest.mark.slow
def test_the_python_of_the_readme_runs(root, tmp_path, monkeypatch):
    import drawn
    import tiny

    model, pool = tiny.llava(tmp_path / "model"), hs.read_pool(str(drawn.pool(tmp_path / "pool")))
    monkeypatch.setattr(datasets, "load_dataset", lambda name, split: pool)
    monkeypatch.chdir(tmp_path)
    code = "\n".join(blocks(root))
    given = 'model="me/seed-model", revision="a1b2c3d"'
    assert given in code and 'load_dataset("org/vit-pool", split="train")' in code
    names = {}
    exec(compile(code.replace(given, f"model={os.fspath(model)!r}"), "README.md", "exec"), names)
    assert len(names["picked"]) == len(names["subset"]) == 6
    assert hs.Selection.load(tmp_path / "selection").keys == names["picked"].keys
    mapped = pool.map(names["loss"], batched=True, batch_size=16)
    assert mapped["loss_full"] == names["scored"]["loss_full"]
    assert all(value is not None for value in mapped["loss_full"])
