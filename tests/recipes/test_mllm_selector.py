"""The reading of MLLM-Selector: its choices on numbers, and the whole run on a tiny model."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

from hf_select.errors import UnknownName, UsageError
from hf_select.recipes.mllm_selector import MLLMSelector
from hf_select.sampling.budget import Budget

ROWS = 200


@pytest.fixture
def scored():
    rng = np.random.default_rng(0)
    tokens = rng.integers(1, 9, ROWS)
    return pa.table(
        {
            "row_key": [f"{n:032x}" for n in range(ROWS)],
            "row_task": ["even" if n % 2 == 0 else "odd" for n in range(ROWS)],
            "row_status": ["ok"] * (ROWS - 2) + ["image_missing", "invalid"],
            "row_reason": [""] * (ROWS - 2) + ["gone", "no answer"],
            "loss_full": pa.array((np.arange(ROWS) / 10 * tokens).astype(np.float32)),
            "tokens_full": pa.array(tokens.astype(np.int32)),
            "loss_status": ["ok"] * (ROWS - 2) + ["image_missing", "invalid"],
            "loss_reason": [""] * (ROWS - 2) + ["gone", "no answer"],
        }
    )


def test_the_seed_subset_is_five_percent_of_the_rows_and_ignores_their_order(scored):
    method = MLLMSelector()
    seed = method.choose_seed(scored, seed=3)
    shuffled = scored.take(np.random.default_rng(1).permutation(ROWS))
    assert len(seed) == 10
    assert set(method.choose_seed(shuffled, seed=3).keys) == set(seed.keys)
    assert set(method.choose_seed(scored, seed=4).keys) != set(seed.keys)


def test_seed_rows_come_first_and_count_inside_the_budget(scored):
    method = MLLMSelector()
    seed = method.choose_seed(scored)
    picked = method.select(scored, Budget("15%"), include=seed.keys)
    assert len(picked) == 30
    assert picked.keys[:10] == seed.keys
    assert len(set(picked.keys)) == 30


def test_without_include_seed_no_seed_row_is_drawn(scored):
    seed = MLLMSelector().choose_seed(scored)
    picked = MLLMSelector(include_seed=False).select(scored, Budget("50%"), include=seed.keys)
    assert len(picked) == 100
    assert not set(picked.keys) & set(seed.keys)


def test_necessary_rows_get_more_of_the_budget_and_alpha_says_how_much(scored):
    half = {f"{n:032x}" for n in range(ROWS // 2, ROWS)}
    shares = [
        len(half & set(MLLMSelector(alpha=alpha).select(scored, Budget(60)).keys)) / 60 for alpha in (0.0, 1.0, 4.0)
    ]
    assert shares[0] < shares[1] < shares[2]
    assert shares[0] == pytest.approx(0.5, abs=0.05)


def test_rows_that_could_not_be_scored_are_never_chosen(scored):
    picked = MLLMSelector().select(scored, Budget(ROWS))
    assert len(picked) == ROWS - 2
    assert sum(picked.rejected.values()) == 2


@pytest.mark.parametrize(
    ("fields", "error"), [({"seed_fraction": 0.0}, UsageError), ({"necessity": "surprise"}, UnknownName)]
)
def test_bad_choices_are_refused(fields, error):
    with pytest.raises(error):
        MLLMSelector(**fields)


def test_each_necessity_names_the_contexts_it_needs():
    assert MLLMSelector(necessity="ifd").contexts == ("full", "no_question")
    assert MLLMSelector(necessity="visual").contexts == ("full", "no_image")
    assert MLLMSelector().describe()["paper"] == "reading of arXiv 2503.20502"


@pytest.fixture(scope="module")
def tiny_run(tmp_path_factory):
    import drawn
    import tiny

    home = tmp_path_factory.mktemp("run")
    model, pool = tiny.llava(home / "model"), drawn.pool(home / "pool")
    command = [sys.executable, "-m", "hf_select.cli.main", "run", "mllm_selector", "--pool", str(pool)]
    command += ["--model", str(model), "--budget", "25%", "--seed-fraction", "0.1", "--out", str(home / "out")]
    command += ["--shards", "4", "--fit-batch-size", "2", "--bins", "4", "--format", "json"]
    return home, command


def call(command, **environment):
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment, timeout=300)


@pytest.mark.slow
def test_the_whole_run_survives_a_kill_and_a_second_run_loads_no_torch(tiny_run):
    home, command = tiny_run
    # Killed when the third shard of scores is about to be computed: the two before it must be found again.
    killer = (
        "import os, signal, sys\n"
        "from hf_select.scoring.answer_loss import AnswerLoss\n"
        "from hf_select.cli.main import main\n"
        "score, calls = AnswerLoss.score, []\n"
        "def deadly(self, rows):\n"
        "    calls.append(1)\n"
        "    if len(calls) == 3:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return score(self, rows)\n"
        "AnswerLoss.score = deadly\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    killed = call([sys.executable, "-c", killer, *command[3:]])
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    status = call([sys.executable, "-m", "hf_select.cli.main", "status", str(home / "out"), "--format", "quiet"])
    assert status.stdout.split("\n")[:4] == ["check done", "seed done", "fit-seed done", "score stopped"]

    resumed = call(command)
    assert resumed.returncode == 0, resumed.stderr
    result = json.loads(resumed.stdout)
    assert result["rows"] == 10
    assert {entry["task"]: entry["rows"] for entry in result["tasks"]} == {"colour": 26, "count": 14}
    assert sum(entry["picked"] for entry in result["tasks"]) == 10
    scored = json.loads((home / "out" / "stages" / "score.json").read_text())["summary"]
    mine = next(part for part in scored["scorers"] if part["name"] == "AnswerLoss")
    assert (mine["computed"], mine["reused"]) == (2, 2)

    again = (
        "import sys\nfrom hf_select.cli.main import main\ncode = main(sys.argv[1:])\n"
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules\nsys.exit(code)\n"
    )
    second = call([sys.executable, "-c", again, *command[3:]], PYTHONHASHSEED="7")
    assert second.returncode == 0, second.stderr
    assert json.loads(second.stdout) == result


@pytest.mark.slow
def test_the_subset_folder_is_read_by_load_dataset_with_untouched_pictures(tiny_run):
    from datasets import load_dataset

    home, command = tiny_run
    done = call(command)
    assert done.returncode == 0, done.stderr
    folder = home / "out" / "subset"
    subset = load_dataset(str(folder), split="train")
    assert len(subset) == 10
    raw = subset.with_format("arrow")[:]["image"].to_pylist()
    for row_id, image in zip(subset["id"], raw, strict=True):
        assert image["bytes"] == (home / "pool" / "images" / f"{row_id[1:]}.png").read_bytes()
        assert image["path"] == f"{row_id[1:]}.png"
    card = (folder / "README.md").read_text()
    assert "reading of arXiv 2503.20502" in card
    assert "the formula of the necessity score" in card
    for file in folder.rglob("*"):
        assert not file.is_file() or str(home).encode() not in file.read_bytes()
