"""The demo's steps on a small pool with the shipped model; the shipped model itself."""

from pathlib import Path

import pytest

from hf_select.demo.measure import held_out_scores, question
from hf_select.demo.pool import draw_pool
from hf_select.demo.run import CHOSEN, MODEL, PRESEL, RANDOM, START, DemoConfig, run_demo
from hf_select.demo.tasks import TASKS


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo")
    notes = []
    return run_demo(out, DemoConfig(rows=120, held_out=2, epochs=1), seeds=1, note=notes.append), out, notes


@pytest.mark.slow
def test_both_subsets_have_the_same_size_and_the_same_seed_rows(small):
    from hf_select.sampling.selection import Selection

    result, out, _ = small
    picked = result.seeds[0].picked
    assert picked[RANDOM].rows == picked[CHOSEN].rows == 18
    assert sum(picked[CHOSEN].tasks.values()) == 18
    assert picked[PRESEL].rows == 18
    chosen, random = (Selection.load(out / "seed-0" / name) for name in ("select", "random"))
    assert chosen.keys[:6] == random.keys[:6] == Selection.load(out / "seed-0" / "seed").keys
    assert set(chosen.keys) != set(random.keys)


@pytest.mark.slow
def test_presel_saw_the_instructions_of_its_own_rows_only(small):
    result, out, _ = small
    assert result.seeds[0].instructions == 18
    assert (out / "seed-0" / "presel" / "stages" / "annotate-picks.json").is_file()


@pytest.mark.slow
def test_lmms_eval_gives_what_the_demo_itself_measures(small):
    result = small[0]
    assert set(result.benchmarks) == {CHOSEN, PRESEL}
    own = result.seeds[0].scores
    for name, comparison in result.benchmarks.items():
        documents, charts, _ = comparison.tasks
        assert (documents.task, charts.task) == ("docvqa_val", "chartqa")
        for subset, value in ((name, "model"), (RANDOM, "baseline")):
            assert getattr(documents, value) == pytest.approx((own[subset]["form"] + own[subset]["receipt"]) / 2)
        assert documents.n == charts.n == 4


@pytest.mark.slow
def test_every_stage_is_explained(small):
    notes = small[2]
    assert "seed 0: fit-seed: they tune the seed model ..." in notes
    assert not [note for note in notes if note.endswith("started")]


@pytest.mark.slow
def test_both_models_take_the_same_steps(small):
    import json

    stages = small[1] / "seed-0" / "stages"
    steps = [json.loads((stages / f"fit-{name}.json").read_text())["summary"]["steps"] for name in ("final", "random")]
    assert steps[0] == steps[1] > 0


@pytest.mark.slow
def test_scores_are_per_task_and_between_0_and_100(small):
    scores = small[0].seeds[0].scores
    assert set(scores) == {START, RANDOM, CHOSEN, PRESEL}
    for of_model in scores.values():
        assert tuple(of_model) == TASKS
        assert all(0 <= value <= 100 for value in of_model.values())


@pytest.mark.slow
def test_the_same_call_again_reuses_every_stage(small):
    result, out, _ = small
    notes = []
    again = run_demo(out, result.config, seeds=1, note=notes.append)
    assert again.seeds[0].scores == result.seeds[0].scores
    assert again.seeds[0].picked == result.seeds[0].picked
    work = [note for note in notes if note.startswith("seed") and note.endswith("...")]
    assert {note.split(": ")[1] for note in work} == {"fit-random", "presel", "answers"}  # asked again, found done
    assert sum(note.endswith("done before, reused") for note in notes) >= 7


def test_the_answer_of_a_document_is_not_in_its_question(tmp_path):
    document = draw_pool(tmp_path / "p", rows=100, held_out=1).held_out()[0]
    row = question(document)
    assert row.answers == () and row.messages[0].text == document.question


def test_the_shipped_model_is_small_and_complete():
    size = (MODEL / "model.safetensors").stat().st_size
    assert size <= 8_000_000
    files = {file.name for file in MODEL.iterdir()}
    assert {"config.json", "tokenizer.json", "processor_config.json", "chat_template.jinja"} <= files
    assert not [file for file in files if file.endswith((".bin", ".pt", ".py"))]


@pytest.mark.slow
def test_tuning_has_much_to_gain(tmp_path):
    drawn = draw_pool(tmp_path / "p", rows=100, held_out=10)
    scores = held_out_scores(Path(MODEL), drawn.held_out())
    assert sum(scores.values()) / len(scores) < 40
