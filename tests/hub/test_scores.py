"""Scores on the Hub: beside one another, checked against the pool, chosen from without a model."""

import json

import drawn
import pyarrow as pa
import pytest
from huggingface_hub import DatasetCard

import hf_select as hs
from hf_select.cli.main import main
from hf_select.errors import HFSelectError, UsageError
from hf_select.hub.scores import Scores, load_scores, push_scores
from hf_select.pool.read import read_pool
from hf_select.scoring.run import score_columns


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    return read_pool(str(drawn.pool(tmp_path_factory.mktemp("pool") / "pool")))


@pytest.fixture(scope="module")
def table(pool):
    columns = score_columns(pool).with_format("arrow")[:]
    return columns.append_column("worth", pa.array([float(i) for i in range(len(columns))], pa.float64()))


@pytest.fixture
def push(hub, table):
    def push(name="seed", repo_id="me/scores", rows=table, **options):
        entry = {"name": "AnswerLoss", "version": 1, "model": "seed", "weights": "abc", "dtype": "float32"}
        scores = Scores(name=name, table=rows, pool="org/pool", pool_revision="a" * 40, scorers=(entry,))
        return push_scores(scores, repo_id, sleep=lambda seconds: None, **options)

    return push


def test_somebody_else_chooses_from_them_without_a_model(hub, push, pool, table):
    push()
    scores = hs.load_scores("me/scores", pool)
    again = hs.Top(score="worth").select(scores, hs.Budget(5))
    assert again.keys == hs.Top(score="worth").select(table, hs.Budget(5)).keys


def test_several_stand_side_by_side_and_are_asked_for_by_name(hub, push, pool):
    push("seed")
    push("other-v2")
    assert set(hub.files("me/scores")) >= {"seed/scores.parquet", "other-v2/scores.parquet"}
    assert len(hub.commits("me/scores")) == 2
    with pytest.raises(UsageError, match="other-v2, seed: say which"):
        load_scores("me/scores", pool)
    with pytest.raises(UsageError, match="no scores called 'x'"):
        load_scores("me/scores", pool, name="x")
    assert len(load_scores("me/scores", pool, name="seed")) == 40
    card = DatasetCard(hub.files("me/scores")["README.md"].decode())
    assert [config["config_name"] for config in card.data.to_dict()["configs"]] == ["other-v2", "seed"]
    assert "| `seed` | `org/pool` |" in card.text and "AnswerLoss" in card.text


def test_the_same_push_again_sends_nothing(hub, push):
    first, again = push(), push()
    assert again.commit == first.commit and not again.changed


def test_rows_without_scores_are_reported_and_never_chosen(hub, push, pool, table):
    push(rows=table.slice(0, 30))
    scores = load_scores("me/scores", pool)
    assert scores["row_status"].to_pylist()[30:] == ["not_scored"] * 10
    picked = hs.Top(score="worth").select(scores, hs.Budget(40))
    assert len(picked) == 30 and picked.rejected == {"not_scored": 10}


def test_the_order_of_the_pool_does_not_matter(hub, push, pool):
    push()
    shuffled = load_scores("me/scores", pool.shuffle(seed=1))
    assert sorted(shuffled["worth"].to_pylist()) == [float(i) for i in range(40)]
    assert shuffled["worth"].to_pylist() != sorted(shuffled["worth"].to_pylist())


def test_scores_of_another_pool_are_refused(hub, push, tmp_path):
    push()
    other = read_pool(str(drawn.pool(tmp_path / "pool", rows=8))).map(
        lambda row: {"conversations": [{"from": "human", "value": "<image>\nElse?"}, row["conversations"][1]]}
    )
    with pytest.raises(UsageError, match="of another pool: they know 0 of its 8 rows"):
        load_scores("me/scores", other)


def test_scores_of_that_name_for_another_pool_are_not_replaced_unasked(hub, push, table):
    push()
    with pytest.raises(HFSelectError, match="--overwrite"):
        push(rows=table.slice(0, 5))
    push(rows=table.slice(0, 5), overwrite=True)
    assert len(hub.commits("me/scores")) == 2


def test_a_table_that_was_changed_is_refused(hub, push, pool, tmp_path):
    assert push()
    assert main(["scores", "pull", "me/scores", "--out", str(tmp_path / "s"), "--format", "quiet"]) == 0
    entry = tmp_path / "s" / "seed" / "scores.json"
    entry.write_text(json.dumps(json.loads(entry.read_text()) | {"rows": 39}))
    with pytest.raises(HFSelectError, match="not the ones that were pushed"):
        load_scores(str(tmp_path / "s"), pool)


@pytest.mark.parametrize("name", ["", "../up", "a/b", "x" * 81, "-x"])
def test_a_name_is_a_name_and_no_path(table, name):
    with pytest.raises(UsageError, match="no name"):
        Scores(name=name, table=table, pool="p")


def test_pictures_are_no_scores(table):
    pictures = table.append_column("image", pa.array([{"bytes": b"x", "path": None}] * len(table)))
    with pytest.raises(UsageError, match="image hold no scores"):
        Scores(name="a", table=pictures, pool="p")
    with pytest.raises(UsageError, match="row_key"):
        Scores(name="a", table=pa.table({"x": [1]}), pool="p")


def test_a_repository_without_scores_is_told(hub, pool):
    hub.repo("me/other")
    with pytest.raises(UsageError, match="holds no scores"):
        load_scores("me/other", pool)


def test_the_commands(hub, table, tmp_path, capsys):
    import pyarrow.parquet as pq

    pq.write_table(table, tmp_path / "score.parquet")
    line = ["scores", "push", str(tmp_path), "--to", "me/scores", "--name", "seed", "--pool", "org/pool@abc"]
    assert main([*line, "--dry-run"]) == 0 and ("datasets", "me/scores") not in hub.repos
    assert main([*line, "--format", "json"]) == 0
    assert main(["scores", "pull", "me/scores", "--out", str(tmp_path / "got")]) == 0
    assert "seed" in capsys.readouterr().out
    chosen = ["select", str(tmp_path / "got" / "seed" / "scores.parquet"), "--sampler", "top", "--score", "worth"]
    assert main([*chosen, "--budget", "5", "--out", str(tmp_path / "picked")]) == 0
    assert len(hs.Selection.load(tmp_path / "picked")) == 5
