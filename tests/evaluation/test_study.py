"""Studies: what is done, in which order, once; what a kill and a second process change (nothing)."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from hf_select.errors import UnknownName, UsageError
from hf_select.evaluation.report import SAMPLES, EvalReport, TaskResult
from hf_select.evaluation.study import Study, StudyFolder, Trained, Unit

ROWS = 200


class CountingLearner:
    """Scores a "model" by how many of its rows are of task "b", and keeps a line of every call in a file."""

    name = "counting"

    def __init__(self, log: Path) -> None:
        self.log = log

    def identity(self) -> dict:
        return {"version": 1}

    def facts(self, pool: str) -> pa.Table:
        keys = [f"{pool}-{at:03d}" for at in range(ROWS)]
        return pa.table(
            {
                "row_key": keys,
                "row_task": ["a" if at % 4 else "b" for at in range(ROWS)],
                "row_status": ["image_missing" if at == 7 else "ok" for at in range(ROWS)],
                "planted": ["swapped" if at % 10 == 0 else "" for at in range(ROWS)],
            }
        )

    def scored(self, pool, seed_rows, seed):
        self._say("scored", pool, seed, len(seed_rows))
        table = self.facts(pool)
        return table.append_column("tokens_full", pa.array([float(at % 9) for at in range(ROWS)])).append_column(
            "loss_full", pa.array([float((at * 37 + seed) % 101) for at in range(ROWS)])
        ), {"seed model": 1.0, "a forward pass": 0.5}

    def trained(self, pool, rows, seed):
        self._say("trained", pool, seed, 0 if rows is None else len(rows))
        good = 0.0 if rows is None else sum(int(key[-3:]) % 4 == 0 for key in rows) / len(rows)
        entry = {"task": "t", "doc_id": 0, "document": "d", "prompt": "", "answer": "", "target": "", "score": good}
        result = TaskResult("t", "exact_match", good, 1.0, 1, None, "", {}, 0.0)
        samples = pa.Table.from_pylist([entry], SAMPLES)
        return Trained(EvalReport("m", "", "s", (result,), {}, samples), 3, {"fit": 2.0, "evaluate": 0.5})

    def _say(self, *words) -> None:
        with self.log.open("a") as log:
            log.write(json.dumps(words) + "\n")

    def calls(self, kind: str) -> list[list]:
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [call for line in lines if (call := json.loads(line))[0] == kind]


def study(**changes) -> Study:
    settings = {"pools": ("p",), "recipes": {"length": {}}, "budgets": ("20%",), "seeds": (0, 1)}
    return Study(**settings | changes)


def folder(tmp_path: Path, chosen: Study) -> StudyFolder:
    return StudyFolder(tmp_path / "study", chosen, CountingLearner(tmp_path / "log"), lambda text: None)


def test_units_come_seed_by_seed_with_random_and_both_ends():
    units = list(study().units())
    assert units == [
        Unit("p", "start", "0", 0),
        Unit("p", "random", "20%", 0),
        Unit("p", "length", "20%", 0),
        Unit("p", "random", "20%", 1),
        Unit("p", "length", "20%", 1),
        Unit("p", "full", "100%", 0),
    ]


def test_a_study_does_everything_once_and_counts_what_was_picked(tmp_path):
    made = folder(tmp_path, study())
    made.work()
    assert made.missing() == 0
    runs = {(run.recipe, run.seed): run for run in made.runs()}
    assert len(runs) == 6
    assert runs["random", 0].rows == runs["length", 0].rows == 40
    assert runs["full", 0].rows == ROWS - 1, "rows that can't be used are in no fit"
    assert runs["start", 0].rows == 0
    length = runs["length", 0]
    assert sum(length.picked.values()) == 40
    assert length.pool_rows == {"a": 150, "b": 50}
    assert length.planted["swapped"][1] == 20
    assert len(made.learner.calls("scored")) == 1, "length looks at no model, so the table of one seed will do"
    made.work()
    assert len(made.learner.calls("trained")) == 6


def test_seed_rows_are_inside_the_budget_of_recipes_that_look_at_the_seed_model(tmp_path):
    made = folder(tmp_path, study(recipes={"perplexity": {}}, seeds=(0,)))
    made.work()
    run = next(run for run in made.runs() if run.recipe == "perplexity")
    assert run.rows == 40
    assert made.learner.calls("scored")[0][3] == 10
    assert run.forwards == 1
    assert run.seconds["score"] == 1.5
    assert next(run for run in made.runs() if run.recipe == "random").seconds["score"] == 0.0


def test_equal_picks_share_one_fit(tmp_path):
    made = folder(tmp_path, study(recipes={"random": {}, "again": {"recipe": "random"}}, seeds=(0,), full_seeds=0))
    made.work()
    assert len(made.runs()) == 3
    assert len(made.learner.calls("trained")) == 2, "the start model, and one for both labels"


def test_other_choices_are_other_fits_in_the_same_folder(tmp_path):
    folder(tmp_path, study(seeds=(0,))).work()
    changed = folder(tmp_path, study(recipes={"length": {"keep": "bottom"}}, seeds=(0,)))
    assert changed.missing() == 1
    changed.work()
    assert changed.missing() == 0


def test_a_killed_study_goes_on_and_two_processes_share_it(tmp_path):
    script = tmp_path / "work.py"
    script.write_text(
        f"import sys; sys.path[:0] = {[str(Path(__file__).parent)]!r}\n"
        "import os, signal\n"
        "from pathlib import Path\n"
        "import test_study as t\n"
        "made = t.folder(Path(sys.argv[1]), t.study(seeds=(0, 1, 2)))\n"
        "if len(sys.argv) > 2:\n"
        "    trained, left = made.learner.trained, [int(sys.argv[2])]\n"
        "    def dying(*given):\n"
        "        left[0] -= 1\n"
        "        if left[0] < 0: os.kill(os.getpid(), signal.SIGKILL)\n"
        "        return trained(*given)\n"
        "    made.learner.trained = dying\n"
        "made.work()\n"
    )
    killed = subprocess.run([sys.executable, script, tmp_path, "3"], check=False)
    assert killed.returncode == -signal.SIGKILL
    done = len(folder(tmp_path, study(seeds=(0, 1, 2))).runs())
    assert done == 3
    together = [subprocess.Popen([sys.executable, script, tmp_path]) for _ in range(2)]
    assert [process.wait() for process in together] == [0, 0]
    made = folder(tmp_path, study(seeds=(0, 1, 2)))
    assert made.missing() == 0
    assert len(made.learner.calls("trained")) == 8
    undisturbed = folder(tmp_path / "other", study(seeds=(0, 1, 2)))
    (tmp_path / "other").mkdir()
    undisturbed.work()
    assert [(run.recipe, run.seed, run.report.macro) for run in made.runs()] == [
        (run.recipe, run.seed, run.report.macro) for run in undisturbed.runs()
    ]


def test_a_file_may_list_recipes_or_give_choices():
    assert Study.of({"pools": "p", "recipes": ["length"], "budgets": "15%", "seeds": 3}).seeds == (3,)
    made = Study.of({"pools": ["p"], "recipes": {"short": {"recipe": "length", "keep": "bottom"}, "presel": None}})
    assert list(made.recipes) == ["random", "short", "presel"]
    assert made.recipe("short").keep == "bottom"


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"pools": ["p"], "recipes": ["length"], "budget": "15%"}, "unknown setting 'budget'"),
        ({"pools": ["p"], "recipes": "length"}, "a list of names"),
        ({"pools": ["p"], "recipes": []}, "no recipes"),
        ({"pools": [], "recipes": ["length"]}, "no pools"),
        ({"pools": ["p"], "recipes": ["full"]}, "end of the scale"),
    ],
)
def test_wrong_studies_are_refused_in_one_sentence(told, words):
    with pytest.raises(UsageError, match=words):
        Study.of(told)


def test_unknown_recipes_are_named_with_those_that_are_known():
    with pytest.raises(UnknownName, match="mllm_selector"):
        study(recipes={"mllm-selector": {}}).recipe("mllm-selector")
