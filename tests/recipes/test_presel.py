"""PreSel: its choices on numbers, and the whole run on a tiny model, killed in every stage."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

from hf_select.errors import UnknownName, UsageError
from hf_select.recipes.presel import PreSel, usable_tasks
from hf_select.recipes.tables import NO_TASK, presel_table
from hf_select.sampling.budget import Budget

ROWS = 200
STAGES = (
    "check",
    "reference",
    "annotate-reference",
    "fit-reference",
    "irs",
    "embed",
    "select",
    "annotate-picks",
    "subset",
)


def facts():
    return {
        "row_key": [f"{n:032x}" for n in range(ROWS)],
        "row_task": ["large" if n % 10 else "small" for n in range(ROWS)],
        "row_status": ["ok"] * (ROWS - 2) + ["image_missing", "no_image"],
        "row_reason": [""] * (ROWS - 2) + ["gone", "none"],
    }


@pytest.fixture
def embedded():
    vectors = np.random.default_rng(0).normal(size=(ROWS, 6)).astype(np.float32)
    return pa.table(facts() | {"embedding": pa.FixedSizeListArray.from_arrays(vectors.ravel(), 6)})


@pytest.fixture
def scored():
    losses = {"large": (2.0, 4.0), "small": (3.0, 3.0)}
    tasks = ["large"] * 6 + ["small"] * 4
    return pa.table(
        {
            "row_task": tasks,
            "loss_full": [losses[task][0] for task in tasks],
            "tokens_full": [1] * 10,
            "loss_no_question": [losses[task][1] for task in tasks],
            "tokens_no_question": [1] * 10,
            "loss_status": ["ok"] * 9 + ["truncated"],
        }
    )


def test_the_reference_set_is_five_percent_of_every_task(embedded):
    reference = PreSel().choose_reference(embedded, seed=3)
    tasks = dict(zip(facts()["row_key"], facts()["row_task"], strict=True))
    assert len(reference) == 10
    assert sorted(tasks[key] for key in reference.keys) == ["large"] * 9 + ["small"]
    shuffled = embedded.take(np.random.default_rng(1).permutation(ROWS))
    assert set(PreSel().choose_reference(shuffled, seed=3).keys) == set(reference.keys)


def test_every_task_has_at_least_one_reference_row():
    table = pa.table(facts() | {"row_task": [f"t{n}" if n < 8 else "rest" for n in range(ROWS)]})
    reference = PreSel().choose_reference(table)
    assert len(reference) == 10
    assert {quota.group for quota in reference.quotas if quota.picked} == {*(f"t{n}" for n in range(8)), "rest"}


def test_a_small_pool_has_one_reference_row_for_every_task():
    table = pa.table(facts() | {"row_task": [f"t{n % 12:02d}" for n in range(ROWS)]})
    reference = PreSel().choose_reference(table)
    assert len(reference) == 12 == sum(quota.picked == 1 for quota in reference.quotas)


def test_a_task_whose_questions_help_gets_more(scored):
    found = PreSel().weigh_tasks(scored, ["large", "small"])
    assert found.means == pytest.approx({"large": 0.5, "small": 1.0})
    assert found.counts == {"large": 6, "small": 3}
    odds = found.weights["large"] / found.weights["small"]
    assert odds == pytest.approx(np.exp(0.5 * np.sqrt(2)))


def test_a_task_that_lost_its_reference_rows_is_named(scored):
    with pytest.raises(UsageError, match="'other'"):
        PreSel().weigh_tasks(scored, ["large", "small", "other"])


def test_sch_02_a_task_of_text_alone_has_no_weight_and_is_counted(embedded):
    """SCH-02: the text-only rows of a mixture are a task of their own, or have none."""
    text = [n % 5 == 0 for n in range(ROWS)]
    tasks = [None if alone else task for alone, task in zip(text, embedded["row_task"].to_pylist(), strict=True)]
    statuses = ["no_image" if alone else "ok" for alone in text]
    pool = embedded.drop_columns(["row_task", "row_status"])
    pool = pool.append_column("row_task", pa.array(tasks, pa.string())).append_column("row_status", pa.array(statuses))
    method = PreSel(reference_fraction=0.1)
    reference = method.choose_reference(pool)
    losses = {
        name: pa.array([2.0 if name == "loss_full" else 4.0] * ROWS) for name in ("loss_full", "loss_no_question")
    }
    counts = {name: pa.array([1] * ROWS) for name in ("tokens_full", "tokens_no_question")}
    scored = pa.table({"row_task": pool["row_task"], "loss_status": ["ok"] * ROWS} | losses | counts)
    keys = set(reference.keys)
    weights = method.weigh_tasks(
        scored.filter(pa.array([key in keys for key in pool["row_key"].to_pylist()])), usable_tasks(pool)
    )
    assert set(weights.weights) == {"large"}
    chosen = method.select(pool, Budget(60), weights=weights.weights, include=reference.keys)
    assert len(chosen) == 60 and chosen.rejected == {"no_image": sum(text)}
    entry = next(one for one in presel_table(pool, chosen, reference, weights) if one["task"] == NO_TASK)
    assert (entry["usable"], entry["picked"], entry["irs"], entry["weight"]) == (0, 0, None, 0.0)


@pytest.mark.parametrize("preset", ["safe", "paper", "paper-vision-flan"])
def test_the_budget_is_exact_and_reference_rows_come_first(embedded, preset):
    method = PreSel(preset=preset)
    reference = method.choose_reference(embedded)
    weights = {"large": 0.2, "small": 0.8}
    picked = method.select(embedded, Budget("15%"), weights=weights, include=reference.keys)
    assert len(picked) == 30 == len(set(picked.keys))
    assert picked.keys[:10] == reference.keys
    assert picked.table["reason"].to_pylist()[:10] == ["reference"] * 10
    assert set(picked.rejected) == {"image_missing", "no_image"}


def test_presets_set_what_they_differ_in():
    safe, paper = PreSel(), PreSel(preset="paper")
    assert (safe.form, safe.duplicates, safe.score) == ("turns", "drop", "irs")
    assert (paper.form, paper.duplicates, paper.score) == ("joined", "keep", "irs_joined")
    assert PreSel(preset="paper", form="turns").form == "turns"
    assert safe.describe()["paper"] == "arXiv 2503.07591"


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"preset": "papers"}, UnknownName),
        ({"form": "x"}, UnknownName),
        ({"duplicates": "merge"}, UnknownName),
        ({"reference_fraction": 1.0}, UsageError),
        ({"clusters": 0}, UsageError),
        ({"neighbours": 0}, UsageError),
        ({"temperature": 0.0}, UsageError),
    ],
)
def test_bad_choices_are_refused_before_any_work(fields, error):
    with pytest.raises(error):
        PreSel(**fields)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    import drawn
    import tiny

    folder = tmp_path_factory.mktemp("presel")
    tiny.llava(folder / "model")
    drawn.pool(folder / "pool")
    return folder


def command(home, *more, out="out"):
    model = str(home / "model")
    line = ["run", "presel", "--pool", str(home / "pool" / "pool.jsonl"), "--model", model, "--encoder", model]
    line += ["--annotator", "column", "--budget", "25%", "--reference-fraction", "0.1", "--out", str(home / out)]
    return [*line, "--fit-batch-size", "2", "--encoder-pool", "mean", "--format", "json", *more]


def call(line, code="import sys\nfrom hf_select.cli.main import main\nsys.exit(main(sys.argv[1:]))", **environment):
    return subprocess.run(
        [sys.executable, "-c", code, *line], capture_output=True, text=True, env=os.environ | environment, timeout=300
    )


DEADLY = """
import os, signal, sys
from hf_select.recipes.stages import RunFolder
write = RunFolder._write
def deadly(self, record):
    write(self, record)
    if record.name == os.environ["KILL"] and record.state == "running":
        os.kill(os.getpid(), signal.SIGKILL)
RunFolder._write = deadly
from hf_select.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_killed_in_every_stage_it_ends_as_if_undisturbed(home):
    undisturbed = call(command(home, out="whole"))
    assert undisturbed.returncode == 0, undisturbed.stderr
    for stage in STAGES:
        killed = call(command(home), DEADLY, KILL=stage)
        assert killed.returncode == -signal.SIGKILL, (stage, killed.stderr)
        assert json.loads((home / "out" / "stages" / f"{stage}.json").read_text())["state"] == "running"
    resumed = call(command(home))
    assert resumed.returncode == 0, resumed.stderr
    result, wanted = json.loads(resumed.stdout), json.loads(undisturbed.stdout)
    paths = ("subset", "reference_model")
    assert {k: v for k, v in result.items() if k not in paths} == {k: v for k, v in wanted.items() if k not in paths}
    assert result["rows"] == result["required_instructions"] == 10

    no_torch = (
        "import sys\nfrom hf_select.cli.main import main\ncode = main(sys.argv[1:])\n"
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules\nsys.exit(code)\n"
    )
    second = call(command(home), no_torch, PYTHONHASHSEED="7")
    assert second.returncode == 0, second.stderr
    assert json.loads(second.stdout) == result


@pytest.mark.slow
def test_only_the_chosen_rows_instructions_were_seen(home):
    from datasets import load_dataset

    done = call(command(home, "--final-fit"))
    assert done.returncode == 0, done.stderr
    result, out = json.loads(done.stdout), home / "out"
    assert result["final_model"] is not None
    lines = [json.loads(line) for line in (out / "instructions" / "journal.jsonl").read_text().splitlines()]
    subset = load_dataset(str(out / "subset"), split="train")
    assert len(lines) == len({line["address"] for line in lines}) == 10
    assert {line["address"] for line in lines} == set(subset["pool_key"])
    assert sum(subset["is_reference"]) == sum(entry["reference"] for entry in result["tasks"]) == 4
    assert all(turns[1]["value"] for turns in subset["conversations"])
    raw = subset.with_format("arrow")[:]["image"].to_pylist()
    for row_id, image in zip(subset["id"], raw, strict=True):
        assert image["bytes"] == (home / "pool" / "images" / f"{row_id[1:]}.png").read_bytes()
    hidden = [file for file in out.rglob("*") if file.is_file() and file.name in ("facts.parquet", "embed.parquet")]
    assert hidden and all(b"How many circles" not in file.read_bytes() for file in hidden)
    card = (out / "subset" / "README.md").read_text()
    assert "instructions were needed for 10 rows (25.0% of the pool), 4 of them the reference set" in card
    assert "arXiv 2503.07591" in card


@pytest.mark.slow
def test_a_pool_without_any_instruction_is_annotated_by_an_endpoint(home, tmp_path, monkeypatch):
    """Pictures and tasks only: what the recipe is for."""
    from chat_server import ChatServer, Fault

    from hf_select.cli.main import main

    rows = [json.loads(line) for line in (home / "pool" / "pool.jsonl").read_text().splitlines()]
    bare = [{"image": row["image"], "task": row["task"]} for row in rows]
    (tmp_path / "pool.jsonl").write_text("\n".join(map(json.dumps, bare)))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    with ChatServer().running() as server:
        line = command(home, "--image-root", str(home / "pool"), "--annotator", "endpoint", "--annotator-model", "m")
        line += ["--annotator-url", server.url, "--annotator-concurrency", "1", "--out", str(tmp_path / "out")]
        line += ["--pool", str(tmp_path / "pool.jsonl")]
        line = line[: line.index("--pool")] + line[line.index("--pool") + 2 :]
        server.faults.extend([*[Fault()] * 9, Fault(content="I'm sorry, I can't.")])
        assert main(line) == 0
    assert len(server.requests) == 10
    told = json.loads((tmp_path / "out" / "stages" / "annotate-picks.json").read_text())["summary"]
    assert told["statuses"] == {"ok": 9, "refused": 1}
    stored = json.loads((tmp_path / "out" / "stages" / "subset.json").read_text())["summary"]
    assert stored["rows"] == 9


def test_a_dry_run_says_what_it_would_take(tmp_path, capsys):
    import drawn

    from hf_select.cli.main import main

    pool = drawn.pool(tmp_path / "pool")
    line = [
        "run",
        "presel",
        "--pool",
        str(pool),
        "--model",
        "org/vlm",
        "--annotator",
        "column",
        "--out",
        str(tmp_path / "o"),
    ]
    assert main([*line, "--dry-run", "--format", "json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plan["rows"], plan["reference_rows"], plan["required_instructions"]) == (40, 2, 6)
    assert not (tmp_path / "o").exists()
