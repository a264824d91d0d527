"""Whole runs of recipes that score and choose, on a drawn pool and tiny models; choosing again from what they kept."""

import json
import re

import numpy as np
import pyarrow as pa
import pytest

from hf_select.cli.main import main
from hf_select.hub.content import Content
from hf_select.hub.replay import choose_again, columns_to_share
from hf_select.pool.view import PoolView
from hf_select.recipes.catalogue import RUNS_OF_THEIR_OWN, recipe, recipe_names
from hf_select.recipes.mllm_selector import MLLMSelector
from hf_select.recipes.recipe import Models
from hf_select.recipes.scored_run import scorers_of, seed_subset
from hf_select.sampling.budget import Budget
from hf_select.sampling.selection import Selection

SCORED = [name for name in recipe_names() if name not in RUNS_OF_THEIR_OWN]
CONTEXTS = ("full", "no_question", "joined_answers", "no_image", "inverse", "inverse_no_answer")
FORWARD = {"AnswerLoss", "HiddenEmbedding", "TokenStats"}
ENCODERS = {"ImageEmbedding", "TextEmbedding", "PairSimilarity"}
VECTORS = ("text_embedding", "embedding", "last_hidden", "coincide_hidden", "shallow_hidden", "attended_hidden")


def everything(n=90):
    """A table with the columns of all recipes."""
    rng = np.random.default_rng(0)
    columns = {
        "row_key": pa.array([f"{at:05d}" for at in range(n)]),
        "row_task": pa.array([f"t{at % 3}" for at in range(n)]),
        "row_status": pa.array(["ok"] * n),
        **{f"loss_{context}": pa.array(rng.gamma(2, 4, n)) for context in CONTEXTS},
        **{f"tokens_{context}": pa.array(rng.integers(1, 5, n)) for context in CONTEXTS},
        **{name: pa.array(rng.uniform(0, 1, n)) for name in ("el2n", "margin", "entropy", "clip_score")},
    }
    for name in VECTORS:
        vectors = rng.normal(size=(n, 8)).astype(np.float32).ravel()
        columns[name] = pa.FixedSizeListArray.from_arrays(pa.array(vectors), 8)
    return pa.table(columns)


@pytest.mark.parametrize("name", SCORED)
def test_what_any_recipe_chose_is_chosen_again_from_the_columns_it_shares(name, tmp_path):
    scored = everything()
    include = seed_subset(scored, 0.05, seed=2).keys
    chosen = recipe(name).select(scored, "25%", seed=2, include=include)
    assert chosen.keys[:5] == include and len(chosen) <= 23
    chosen.save(tmp_path)
    kept = Selection.load(tmp_path)
    again = choose_again(kept, columns_to_share(kept, scored, name), name)
    assert again.keys == chosen.keys
    assert again.table.equals(chosen.table)


def test_scorers_are_of_the_revision_and_read_rows_by_the_pools_view():
    models = Models(model="org/vlm", text_encoder="org/text", view=PoolView(task_field="source"))
    found = scorers_of(recipe("visnec"), models, "abc", Budget("10%"))
    assert [(one.model, one.revision) for one in found] == [("org/vlm", "abc"), ("org/text", None)]
    assert {one.view for one in found} == {models.view}
    counted = scorers_of(recipe("random"), models, "abc", Budget("1k tokens"))
    assert [(type(one).__name__, one.model, one.revision) for one in counted] == [("TokenCount", "org/vlm", "abc")]
    assert len(scorers_of(recipe("length"), models, None, Budget("1k tokens"))) == 1


def test_the_seed_subset_is_that_of_mllm_selector():
    scored = everything()
    assert seed_subset(scored, 0.1, seed=3).keys == MLLMSelector(seed_fraction=0.1).choose_seed(scored, seed=3).keys


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    import drawn
    import tiny
    import tiny_encoders

    home = tmp_path_factory.mktemp("scored")
    tiny.llava(home / "vlm")
    tiny_encoders.bert(home / "minilm", positions=300)
    tiny_encoders.clip(home / "clip")
    tiny_encoders.dinov2(home / "dinov2")
    drawn.pool(home / "pool")
    return home


@pytest.mark.parametrize("name", SCORED)
def test_a_recipe_reads_what_its_own_scorers_add(home, name):
    names = {"model": "vlm", "text_encoder": "minilm", "dual_encoder": "clip", "image_encoder": "dinov2"}
    models = Models(**{setting: str(home / folder) for setting, folder in names.items()})
    made, scored = recipe(name), everything()
    scorers = made.scorers(models)
    added = {column for scorer in scorers for column in scorer.adds}
    kept = [column for column in scored.column_names if column.startswith("row_") or column in added]
    assert len(made.select(scored.select(kept), 20, seed=1)) in range(1, 21)
    assert bool(made.cost.forwards) == any(type(one).__name__ in FORWARD for one in scorers)
    assert sum(type(one).__name__ in ENCODERS for one in scorers) == len(made.cost.encoders)


def run(home, name, out, *words):
    base = ["run", name, "--pool", str(home / "pool" / "pool.jsonl"), "--out", str(home / out), "--budget", "25%"]
    return main([*base, "--shards", "2", "--format", "json", *words])


def stages(home, out):
    return {file.stem: json.loads(file.read_text()) for file in (home / out / "stages").glob("*.json")}


def check_run(home, out, told, name):
    """What every run leaves: ten rows, a card without paths, and columns to choose them again from."""
    assert told["rows"] == 10 and sum(entry["picked"] for entry in told["tasks"]) == 10
    card = (home / out / "subset" / "README.md").read_text("utf-8")
    assert f"chosen by `{name}`" in card and "When it fails: " in card and str(home) not in card
    content = Content.of_run(home / out)
    assert choose_again(content.selection, content.scored, out).keys == content.selection.keys
    return card


def test_random_needs_no_model_and_resumes(home, capsys):
    assert run(home, "random", "random", "--set", "group=row_task") == 0
    told = json.loads(capsys.readouterr().out)
    card = check_run(home, "random", told, "random")
    assert "The model that judged" not in card and "- `group`: `row_task`" in card
    assert {entry["task"]: entry["picked"] for entry in told["tasks"]} == {"colour": 7, "count": 3}
    assert "hf-select run random --set group=row_task --pool pool.jsonl --budget 25%" in _sorted_words(card)
    first = stages(home, "random")
    assert set(first) == {"check", "select", "subset"}
    assert run(home, "random", "random", "--set", "group=row_task") == 0
    assert json.loads(capsys.readouterr().out) == told and stages(home, "random") == first


def _sorted_words(card):
    """The card's command with its flags in one order."""
    line = re.search(r"`(hf-select run random [^`]*)`", card)[1]
    flags = dict(re.findall(r"(--[a-z-]+) (\S+)", line))
    return "hf-select run random " + " ".join(f"{flag} {flags[flag]}" for flag in ("--set", "--pool", "--budget"))


def test_a_budget_in_tokens_counts_them_whatever_the_recipe(home, capsys):
    words = ["--budget", "200 tokens"]
    assert run(home, "random", "tokens", *words) == 2
    assert "a budget in tokens scores rows with a vision-language model" in capsys.readouterr().err
    assert run(home, "random", "tokens", *words, "--model", str(home / "vlm")) == 0
    told = json.loads(capsys.readouterr().out)
    assert 0 < told["rows"] < 40 and "score" in stages(home, "tokens")


def test_length_takes_no_forward_pass(home, capsys, monkeypatch):
    monkeypatch.setattr("hf_select.scoring.model.load_vlm", lambda *more, **named: pytest.fail("weights were read"))
    assert run(home, "length", "length", "--model", str(home / "vlm")) == 0
    told = json.loads(capsys.readouterr().out)
    card = check_run(home, "length", told, "length")
    assert "The model that judged the rows is `vlm`." in card and "mean tokens_full" in card
    assert all(entry["mean_score"] is not None for entry in told["tasks"])


def test_several_scorers_have_a_stage_each(home, capsys):
    words = ["--model", str(home / "vlm"), "--text-encoder", str(home / "minilm"), "--set", "clusters=3"]
    assert run(home, "visnec", "visnec", *words) == 0
    told = json.loads(capsys.readouterr().out)
    card = check_run(home, "visnec", told, "visnec")
    assert "| AnswerLoss | 1 | `vlm` |" in card and "| TextEmbedding |" in card
    known = stages(home, "visnec")
    parts = ["score-1-AnswerLoss", "score-2-TextEmbedding"]
    assert set(known) == {"check", *parts, "score", "select", "subset"}
    scorers = [part for name in ("score-1-AnswerLoss", "score") for part in known[name]["summary"]["scorers"]]
    assert [(part["computed"], part["reused"]) for part in scorers if part["name"] == "AnswerLoss"] == [(2, 0), (0, 2)]


@pytest.mark.slow
def test_a_seed_model_is_tuned_scores_and_counts_inside_the_budget(home, capsys):
    words = ["--model", str(home / "vlm"), "--seed-fraction", "0.1", "--fit-batch-size", "2", "--set", "keep=top"]
    assert run(home, "perplexity", "seeded", *words) == 0
    told = json.loads(capsys.readouterr().out)
    card = check_run(home, "seeded", told, "perplexity")
    assert "The model that judged the rows was tuned from `vlm`." in card
    assert set(stages(home, "seeded")) == {"check", "seed", "fit-seed", "score", "select", "subset"}
    chosen, seed = Selection.load(home / "seeded" / "subset"), Selection.load(home / "seeded" / "seed")
    assert chosen.keys[:4] == seed.keys and told["seed_model"]


@pytest.mark.parametrize(
    ("name", "words", "problem"),
    [
        ("perplexity", [], "perplexity scores rows with a vision-language model"),
        ("perplexity", ["--set", "alpha=1"], "no choice 'alpha': it has keep, window, group, duplicates"),
        ("perplexity", ["--set", "keep"], "give KEY=VALUE"),
        ("perplexity", ["--set", "keep=top", "keep=bottom"], "keep twice"),
        ("perplexity", ["--set", "window=[0.1"], "not YAML"),
        ("perplexity", ["--model", "m", "--seed-fraction", "1"], "between 0 and 1"),
        ("random", ["--seed-fraction", "0.1"], "random looks at no seed model"),
        ("random", ["--final-fit"], "a final fit tunes a vision-language model"),
        ("perplexity", ["--model", "m", "--seed-fraction", "0.5"], "more than the budget of 10"),
    ],
)
def test_what_cant_work_is_said_before_anything_is_tuned(home, capsys, tmp_path, name, words, problem):
    assert run(home, name, tmp_path / "out", *words) == 2
    assert problem in capsys.readouterr().err
    assert not (tmp_path / "out" / "models").exists()


def test_a_dry_run_says_what_would_be_done(home, capsys, tmp_path):
    words = ["--model", "org/vlm", "--seed-fraction", "0.1", "--dry-run"]
    assert run(home, "visnec", tmp_path / "dry", *words) == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plan["rows"], plan["seed_rows"], plan["forward_passes"], plan["encoders"]) == (40, 4, 80, ["text"])
    assert not (tmp_path / "dry").exists()


@pytest.mark.parametrize(
    ("given", "value"),
    [("1e-2", 0.01), ("null", None), ("[0.2, 0.8]", [0.2, 0.8]), ("row_task", "row_task"), ("3", 3), ("a=b", "a=b")],
)
def test_choices_are_yaml_values(given, value):
    from hf_select.cli.run_recipe import read_choices

    assert read_choices([f"key={given}"]) == {"key": value}


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in SCORED if name not in ("random", "length", "visnec")])
def test_every_recipe_runs_from_a_pool_to_a_subset(home, capsys, name):
    names = {"--model": "vlm", "--text-encoder": "minilm", "--dual-encoder": "clip", "--image-encoder": "dinov2"}
    words = [word for flag, folder in names.items() for word in (flag, str(home / folder))]
    words += ["--set", "limit=null"] if name == "ifd" else []
    assert run(home, name, name, *words) == 0
    check_run(home, name, json.loads(capsys.readouterr().out), name)
