"""`hf-select eval` through lmms-eval itself: values worked out by hand, resumption, comparison, ways to fail."""

import json
import os
import signal
import subprocess
import sys

import benchmark_data
import overfitted
import pytest
import tiny

from hf_select.cli.main import main
from hf_select.errors import HFSelectError, UsageError
from hf_select.evaluation.report import EvalReport
from hf_select.evaluation.run import evaluate, plan

TASKS = ["docvqa_val", "chartqa"]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A data root, a model that answers "4820" to documents and "20" to charts, and one that babbles."""
    folder = tmp_path_factory.mktemp("eval")
    benchmark_data.write(folder / "data")
    overfitted.answering(folder / "taught", {"docvqa_val": "4820", "chartqa": "20"}, folder / "data")
    tiny.llava(folder / "babbling", chat_template=overfitted.SPACED)
    return folder


def line(home, out, *more, model="taught"):
    return [
        "eval",
        str(home / model),
        "--suite",
        "documents",
        "--tasks",
        *TASKS,
        "--data-root",
        str(home / "data"),
        "--out",
        str(out),
        "--batch-size",
        "4",
        "--device",
        "cpu",
        *more,
    ]


@pytest.mark.slow
def test_the_values_are_those_worked_out_by_hand(home, tmp_path, capsys):
    """One of eight four-digit numbers is right and seven differ in one digit; one of eight bars is 20."""
    assert main(line(home, tmp_path, "--format", "json")) == 0
    report = json.loads(capsys.readouterr().out)["reports"][0]
    values = {task["task"]: (task["metric"], task["value"], task["n"]) for task in report["tasks"]}
    assert values == {"docvqa_val": ("anls", (1 + 7 * 0.75) / 8, 8), "chartqa": ("relaxed_overall", 1 / 8, 8)}
    assert report["model"] == "taught" and report["versions"]["lmms-eval"] and not report["failed"]
    kept = EvalReport.load(next(tmp_path.iterdir()))
    assert kept.samples.num_rows == 16 and set(kept.samples["answer"].to_pylist()) == {"4820", "20"}
    assert sum(kept.scores("docvqa_val").values()) == (1 + 7 * 0.75)
    assert "What is the number of form 3?" in kept.samples["prompt"].to_pylist()[3]
    assert str(home).encode() not in b"".join(f.read_bytes() for f in tmp_path.rglob("*") if f.is_file())


@pytest.mark.slow
def test_two_models_are_compared_document_by_document(home, tmp_path, capsys):
    assert main(line(home, tmp_path, "--baseline", str(home / "babbling"), "--format", "json")) == 0
    told = json.loads(capsys.readouterr().out)["comparison"]
    entry = told["tasks"][0]
    assert (entry["task"], entry["wins"], entry["losses"], entry["n"]) == ("docvqa_val", 8, 0, 8)
    assert entry["low"] > 0
    assert json.loads((tmp_path / "comparison.json").read_text()) == told
    assert "| docvqa_val |" in (tmp_path / "comparison.md").read_text()


@pytest.mark.slow
def test_killed_half_way_it_goes_on_and_ends_with_the_same_numbers(home, tmp_path, capsys):
    killer = (
        "import os, signal, sys\n"
        "from hf_select.evaluation.answers import Answers\n"
        "from hf_select.cli.main import main\n"
        "keep, calls = Answers.keep, []\n"
        "def deadly(self, *arguments):\n"
        "    keep(self, *arguments)\n"
        "    calls.append(1)\n"
        "    if len(calls) == 3:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "Answers.keep = deadly\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    killed = subprocess.run(
        [sys.executable, "-c", killer, *line(home, tmp_path / "a")], env=os.environ, capture_output=True, timeout=300
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    folder = next((tmp_path / "a").iterdir())
    assert not (folder / "report.json").exists()
    assert main(line(home, tmp_path / "a")) == 0
    assert "4 answers computed, 12 found" in capsys.readouterr().err
    assert main(line(home, tmp_path / "b")) == 0
    one, other = (EvalReport.load(next((tmp_path / name).iterdir())) for name in ("a", "b"))
    assert one.samples == other.samples
    assert [task.value for task in one.tasks] == [task.value for task in other.tasks]


@pytest.mark.slow
def test_eva_06_retrained_weights_under_the_same_path_never_get_old_answers(home, tmp_path, capsys):
    import shutil

    moving = tmp_path / "model"
    shutil.copytree(home / "taught", moving)
    first = line(home, tmp_path / "out")
    first[1] = str(moving)
    assert main(first) == 0
    shutil.rmtree(moving)
    shutil.copytree(home / "babbling", moving)
    capsys.readouterr()
    assert main([*first, "--format", "json"]) == 0
    told = capsys.readouterr()
    assert "16 answers computed, 0 found" in told.err
    assert json.loads(told.out)["reports"][0]["tasks"][0]["value"] == 0.0


@pytest.mark.slow
def test_a_floor_that_does_not_hold_is_3(home, tmp_path, capsys):
    assert main(line(home, tmp_path, "--fail-under", "docvqa_val=0.9")) == 3
    assert "docvqa_val is 0.78125, below 0.9" in capsys.readouterr().err
    assert main(line(home, tmp_path, "--fail-under", "documents/docvqa_val=0.7")) == 0
    assert main(line(home, tmp_path, "--fail-under", "mme=1")) == 2


@pytest.mark.slow
def test_a_task_that_fails_is_1_and_leaves_the_others_alone(home, tmp_path, capsys, monkeypatch):
    from hf_select.evaluation import run

    real = run._run

    def broken(made, found, answers):
        if found.task == "docvqa_val":
            raise RuntimeError("the task's own code\nfell over")
        return real(made, found, answers)

    monkeypatch.setattr(run, "_run", broken)
    assert main(line(home, tmp_path, "--format", "json")) == 1
    report = json.loads(capsys.readouterr().out)["reports"][0]
    assert report["failed"] == {"docvqa_val": "RuntimeError: the task's own code fell over"}
    assert [task["task"] for task in report["tasks"]] == ["chartqa"]


@pytest.mark.slow
def test_fewer_documents_than_asked_is_a_failure(home, tmp_path, capsys, monkeypatch):
    from hf_select.evaluation import harness

    real = harness.run_tasks

    def losing(*arguments, **named):
        given = real(*arguments, **named)
        for rows in given["samples"].values():
            rows.pop()
        return given

    monkeypatch.setattr(harness, "run_tasks", losing)
    assert main(line(home, tmp_path)) == 1
    assert "answered 7 of 8 documents" in capsys.readouterr().out


def test_eva_09_everything_that_is_missing_is_told_before_a_model_is_loaded(home, tmp_path):
    with pytest.raises(UsageError, match="has no folder"):
        plan("documents", tasks=["docvqa_val"], data_root=tmp_path)
    with pytest.raises(UsageError, match="judge"):
        plan("judge", data_root=home / "data")
    with pytest.raises(HFSelectError, match=r"lmms-lab-encoder/DocVQA.*HF_HUB_OFFLINE"):
        plan("documents", tasks=["docvqa_val"])
    with pytest.raises(UsageError, match="even limit"):
        plan("presel", tasks=["mme"], data_root=home / "data", limit=3)


def test_a_broken_checkpoint_is_one_sentence_and_nothing_is_taken_for_a_result(home, tmp_path, capsys):
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "config.json").write_text("{")
    (bad / "model.safetensors").write_bytes(b"nothing")
    arguments = line(home, tmp_path / "out")
    arguments[1] = str(bad)
    assert main(arguments) in (1, 2)
    told = capsys.readouterr().err.strip().splitlines()
    assert told[-1].startswith("hf-select: ")
    assert not list((tmp_path / "out").rglob("report.json"))


def test_a_full_disk_leaves_no_report(home, tmp_path, monkeypatch):
    from hf_select.evaluation.answers import Answers

    def full(self, *arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Answers, "keep", full)
    planned = plan("documents", tasks=["chartqa"], data_root=home / "data", limit=2)
    report = evaluate(str(home / "taught"), planned, tmp_path / "out", device="cpu")
    assert "No space left" in report.failed["chartqa"] and report.tasks == ()


@pytest.mark.slow
def test_eva_07_empty_answers_are_counted_beside_the_score(home, tmp_path, capsys, monkeypatch):
    from hf_select.scoring import generate

    real = generate.generate_answers

    def silent(*arguments, **named):
        return ["" if at % 2 else text for at, text in enumerate(real(*arguments, **named))]

    monkeypatch.setattr(generate, "generate_answers", silent)
    assert main(line(home, tmp_path)) == 0
    row = next(text for text in capsys.readouterr().out.splitlines() if text.startswith("docvqa_val"))
    assert row.split()[-2] == "4"


def test_eva_01_docvqa_is_measured_on_validation_where_answers_are():
    from hf_select.evaluation.suite import load_suite

    task = next(one for one in load_suite("documents").tasks if one.benchmark == "DocVQA")
    assert (task.task, task.split) == ("docvqa_val", "validation")


@pytest.mark.slow
def test_held_out_rows_are_a_task_for_each_label(home, tmp_path, capsys):
    import drawn

    pool = drawn.pool(tmp_path / "pool", rows=12)
    out = ["--out", str(tmp_path / "out"), "--device", "cpu", "--batch-size", "4", "--format", "json"]
    arguments = ["eval", str(home / "taught"), "--held-out", str(pool), "--metric", "colour=contains", *out]
    assert main([*arguments, "--baseline", str(home / "babbling")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [(task["task"], task["n"]) for task in told["reports"][0]["tasks"]] == [("colour", 8), ("count", 4)]
    assert [entry["task"] for entry in told["comparison"]["tasks"]] == ["colour", "count", "mean of tasks"]
    assert main(["eval", str(home / "taught"), *out]) == 2
    assert "either --suite or --held-out" in capsys.readouterr().err


def test_a_suite_of_held_out_rows_needs_them():
    with pytest.raises(UsageError, match="--held-out"):
        plan("demo")
