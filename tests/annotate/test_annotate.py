"""Whole annotations: journalled, resumed, repeated, priced, and joined with rows whose pictures nobody touched."""

import json
import os
import signal
import subprocess
import sys

import drawn
import pytest
from chat_server import GOOD, ChatServer, Fault
from PIL import Image

from hf_select.annotate.annotate import annotate
from hf_select.annotate.column import ColumnAnnotator
from hf_select.annotate.cost import Rates
from hf_select.annotate.endpoint import KEY, EndpointAnnotator
from hf_select.cli.main import main
from hf_select.errors import HFSelectError, UsageError
from hf_select.pool.read import read_pool
from hf_select.pool.view import PoolView
from hf_select.recipes.stages import RunFolder
from hf_select.sampling.budget import Budget
from hf_select.sampling.uniform import Uniform
from hf_select.scoring.run import score_columns

VIEW = PoolView(schema="images")
SECRET = "sk-canary-4711"


@pytest.fixture(scope="module")
def pool_file(tmp_path_factory):
    return str(drawn.pool(tmp_path_factory.mktemp("pool")))


@pytest.fixture(scope="module")
def pool(pool_file):
    return read_pool(pool_file, schema="images")


@pytest.fixture(scope="module")
def chosen(pool):
    return Uniform(stratify="row_task").select(score_columns(pool, view=VIEW), Budget(10), seed=1)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv(KEY, SECRET)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    with ChatServer().running() as running:
        yield running


def endpoint(server, **settings):
    return EndpointAnnotator(**{"model": "m", "base_url": server.url, "sleep": lambda seconds: None, **settings})


def test_rows_come_in_pick_order_with_untouched_pictures(pool, chosen, server, tmp_path):
    done = annotate(pool, chosen, endpoint(server), tmp_path, view=VIEW)
    source = chosen.apply(pool, view=VIEW)
    assert done.dataset["pool_key"] == list(chosen.keys)
    assert done.dataset.features["image"] == pool.features["image"]
    raw = [rows.with_format("arrow")[:]["image"].to_pylist() for rows in (done.dataset, source)]
    assert raw[0] == raw[1]
    assert done.dataset["task"] == source["task"]
    assert done.dataset[0]["conversations"] == [
        {"from": "human", "value": "<image>\nWhat is it?"},
        {"from": "gpt", "value": "A drawing."},
    ]
    assert done.statuses == {"ok": 10} and done.asked == len(server.requests) == 10


def test_the_result_is_a_pool_that_is_read_and_trained_on_like_any_other(pool, chosen, server, tmp_path):
    done = annotate(pool, chosen, endpoint(server), tmp_path, view=VIEW)
    rows = PoolView(task_field="task").rows(done.ready.with_format("arrow")[:])
    assert {row.status for row in rows} == {"ok"}
    assert rows[0].turns == (("What is it?", "A drawing."),)


def test_the_order_in_which_answers_come_changes_nothing(pool, chosen, server, tmp_path):
    one = annotate(pool, chosen, endpoint(server, concurrency=8), tmp_path / "a", view=VIEW)
    other = annotate(pool, chosen, endpoint(server, concurrency=1), tmp_path / "b", view=VIEW)
    assert one.dataset._fingerprint == other.dataset._fingerprint
    assert one.dataset.to_list() == other.dataset.to_list()


def test_nothing_is_asked_twice_also_not_for_a_larger_selection(pool, chosen, server, tmp_path):
    annotate(pool, chosen, endpoint(server), tmp_path, view=VIEW)
    more = Uniform(stratify="row_task").select(score_columns(pool, view=VIEW), Budget(14), include=chosen.keys)
    again = annotate(pool, more, endpoint(server), tmp_path, view=VIEW)
    assert len(server.requests) == 14
    assert (again.asked, again.reused) == (14, 10)


def test_an_unreadable_answer_is_asked_for_once_more_with_a_reminder(pool, chosen, server, tmp_path):
    server.faults.extend([Fault(content="a drawing of something")] * 2)
    done = annotate(pool, chosen, endpoint(server, concurrency=1), tmp_path, view=VIEW)
    assert done.statuses == {"ok": 10}
    assert len(server.requests) == 12
    texts = [request["messages"][0]["content"][1]["text"] for request in server.requests]
    assert sum("could not be read" in text for text in texts) == 2


def test_what_stays_unreadable_and_what_is_refused_keeps_its_row_with_a_status(pool, chosen, server, tmp_path):
    server.content = "a drawing of something"
    server.faults.append(Fault(content="I'm sorry, I can't."))
    done = annotate(pool, chosen, endpoint(server, concurrency=1), tmp_path, view=VIEW)
    assert done.statuses == {"refused": 1, "unparsable": 9}
    assert len(done.dataset) == 10 and len(done.ready) == 0 and done.ok_keys == []
    assert done.dataset[0]["conversations"] is None
    assert "no JSON" in done.dataset[1]["annotation_reason"]
    server.content = GOOD
    assert annotate(pool, chosen, endpoint(server), tmp_path, view=VIEW).statuses == done.statuses
    assert len(server.requests) == 1 + 2 * 9


def test_an_answer_with_half_a_character_has_a_status_and_stops_no_later_call(pool, chosen, server, tmp_path):
    half = Fault(content='{"turns": [{"question": "What?", "answer": "A \\ud83d"}]}')
    server.faults.extend([half] * 20)
    for _ in range(2):
        done = annotate(pool, chosen, endpoint(server), tmp_path, view=VIEW)
        assert done.statuses == {"unparsable": 10}
        assert "half a character" in done.dataset[0]["annotation_reason"]
    assert len(server.requests) == 20


def test_a_server_that_fails_for_good_loses_no_answer(pool, chosen, server, tmp_path):
    server.faults.extend([Fault(), Fault(), Fault(), Fault(401)])
    with pytest.raises(HFSelectError, match="3 of 10 missing instructions came; the same command goes on"):
        annotate(pool, chosen, endpoint(server, concurrency=1), tmp_path, view=VIEW)
    done = annotate(pool, chosen, endpoint(server), tmp_path, view=VIEW)
    assert done.statuses == {"ok": 10}
    assert len(server.requests) == 4 + 7


def test_passing_trouble_is_no_answer_and_the_next_call_asks_again(pool, chosen, server, tmp_path):
    server.faults.extend([Fault(), *[Fault(503)] * 3])
    done = annotate(pool, chosen, endpoint(server, concurrency=1, retries=2), tmp_path, view=VIEW)
    assert done.statuses == {"ok": 9, "unanswered": 1}
    assert done.dataset[1]["annotation_reason"] == "the annotator m gave HTTP status 503, 3 times in a row"
    assert len((tmp_path / "journal.jsonl").read_text().splitlines()) == 9
    again = annotate(pool, chosen, endpoint(server), tmp_path, view=VIEW)
    assert (again.statuses, again.reused) == ({"ok": 10}, 9)
    assert len(server.requests) == 1 + 3 + 8 + 1


def test_failures_are_asked_again_when_that_is_wanted(pool, chosen, server, tmp_path):
    server.faults.extend([Fault(), Fault(content="I can't."), Fault(400)])
    first = annotate(pool, chosen, endpoint(server, concurrency=1), tmp_path, view=VIEW)
    assert first.statuses == {"ok": 8, "refused": 1, "rejected": 1}
    again = annotate(pool, chosen, endpoint(server), tmp_path, view=VIEW, retry_failed=True)
    assert (again.statuses, len(server.requests)) == ({"ok": 10}, 12)
    assert not [request for request in server.requests if "could not be read" in json.dumps(request)]


def test_the_bill_stops_at_its_limit(pool, chosen, server, tmp_path):
    rates = Rates(price_in=10_000, price_out=0)
    with pytest.raises(HFSelectError, match=r"have cost 4\.0000, which reaches the limit of 4"):
        annotate(pool, chosen, endpoint(server, concurrency=1), tmp_path, view=VIEW, rates=rates, max_cost=4)
    assert len(server.requests) == 4
    done = annotate(pool, chosen, endpoint(server), tmp_path, view=VIEW, rates=rates, max_cost=100)
    assert done.cost == pytest.approx(10.0) and done.tokens_in == 1000 and done.tokens_out == 100


def test_the_limit_holds_where_the_server_counts_no_tokens(pool, chosen, server, tmp_path):
    reply = {"choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": GOOD}}]}
    server.faults.extend([Fault(body=json.dumps(reply).encode())] * 10)
    with pytest.raises(HFSelectError, match="reaches the limit"):
        annotate(pool, chosen, endpoint(server, concurrency=1), tmp_path, view=VIEW, rates=Rates(1000), max_cost=3)
    assert len(server.requests) == 3


def test_no_key_is_written_anywhere(pool, chosen, server, tmp_path, caplog):
    server.faults.append(Fault(403))
    with pytest.raises(HFSelectError) as caught:
        annotate(pool, chosen, endpoint(server, concurrency=1), tmp_path, view=VIEW)
    annotate(pool, chosen, endpoint(server), tmp_path, view=VIEW)
    written = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert SECRET.encode() not in written
    assert SECRET not in str(caught.value) + caplog.text


def test_the_pools_own_column_is_read_for_the_asked_rows_only(pool_file, pool, chosen, tmp_path, monkeypatch):
    read = []
    rows_of = PoolView.rows

    def counted(self, batch):
        rows = rows_of(self, batch)
        read.extend([self.schema] * len(rows))
        return rows

    monkeypatch.setattr(PoolView, "rows", counted)
    done = annotate(pool, chosen, ColumnAnnotator(), tmp_path, view=VIEW)
    assert read.count(None) == 10
    source = chosen.apply(read_pool(pool_file), view=VIEW)
    assert [turns[-1]["value"] for turns in done.dataset["conversations"]] == [
        turns[-1]["value"] for turns in source["conversations"]
    ]


def test_pictures_of_the_pools_own_instructions_keep_their_places(tmp_path):
    talks = [
        ["<image>\nWhat is it?", "A."],
        ["What is it?\n<image>", "B."],
        ["Before <image> after?", "C."],
        ["Hello?", "Yes?", "Look:\n<image>", "D."],
        ["No place?", "E."],
    ]
    rows = []
    for number, said in enumerate(talks):
        Image.new("RGB", (8, 8), (number * 20, 0, 0)).save(tmp_path / f"{number}.png")
        turns = [{"from": ("human", "gpt")[at % 2], "value": value} for at, value in enumerate(said)]
        rows.append({"id": str(number), "image": f"{number}.png", "conversations": turns})
    (tmp_path / "pool.json").write_text(json.dumps(rows))
    pool = read_pool(str(tmp_path / "pool.json"), schema="images")
    everything = Uniform().select(score_columns(pool, view=VIEW), Budget(5))
    made = annotate(pool, everything, ColumnAnnotator(), tmp_path / "out", view=VIEW).dataset
    own = {row["id"]: row for row in rows}
    source = [own[name] for name in made["id"]]
    for row, given in zip(made, source, strict=True):
        if given["id"] not in ("2", "4"):
            assert row["conversations"] == given["conversations"]
    read = PoolView().rows(made.with_format("arrow")[:])
    wanted = read_pool(str(tmp_path / "pool.json")).select([int(row["id"]) for row in source])
    assert [row.messages for row in read] == [row.messages for row in PoolView().rows(wanted.with_format("arrow")[:])]


def test_a_pool_without_instructions_has_no_column_to_take_them_from(pool, chosen, tmp_path):
    with pytest.raises(UsageError, match="no instructions of its own"):
        annotate(pool, chosen, ColumnAnnotator(view=VIEW), tmp_path, view=VIEW)


def test_an_annotator_that_leaves_rows_out_leaves_them_unanswered(pool, chosen, tmp_path):
    class Lazy(ColumnAnnotator):
        def ask(self, pool, requests):
            yield from list(super().ask(pool, requests))[1:]

    assert annotate(pool, chosen, Lazy(), tmp_path, view=VIEW).statuses == {"ok": 9, "unanswered": 1}


@pytest.mark.slow
def test_a_local_model_is_asked_and_its_babble_has_a_status(pool, chosen, tmp_path):
    import tiny

    from hf_select.annotate.local import LocalAnnotator

    model = str(tiny.llava(tmp_path / "model"))
    annotator = LocalAnnotator(model=model, device="cpu", batch_size=4, max_tokens=4)
    done = annotate(pool, chosen, annotator, tmp_path / "out", view=VIEW)
    assert set(done.statuses) <= {"unparsable", "empty"} and sum(done.statuses.values()) == 10
    assert annotator.identity() == LocalAnnotator(model=model, batch_size=1, max_tokens=4).identity()
    assert len((tmp_path / "out" / "journal.jsonl").read_text().splitlines()) == 20


def command(pool_file, chosen, tmp_path, server, *more):
    chosen.save(tmp_path / "selection")
    line = ["annotate", pool_file, "--selection", str(tmp_path / "selection"), "--annotator", "endpoint"]
    line += ["--annotator-model", "m", "--annotator-url", server.url, "--out", str(tmp_path / "out")]
    return [*line, "--annotator-concurrency", "1", *more]


def test_the_command_writes_rows_that_load_dataset_reads(pool_file, chosen, tmp_path, server, capsys):
    from datasets import load_dataset

    assert main(command(pool_file, chosen, tmp_path, server, "--format", "json")) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["statuses"] == {"ok": 10} and told["asked"] == 10
    rows = load_dataset(str(tmp_path / "out"), split="train")
    assert rows["pool_key"] == list(chosen.keys)
    files = [file for file in (tmp_path / "out").rglob("*") if file.is_file()]
    assert not [file for file in files if str(tmp_path).encode() in file.read_bytes()]


def test_the_cost_is_told_before_anything_is_asked(pool_file, chosen, tmp_path, server, capsys):
    line = command(pool_file, chosen, tmp_path, server, "--dry-run", "--price-in", "2", "--price-out", "4")
    assert main([*line, "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["requests"], told["images"], told["tokens_out"]) == (10, 10, 1500)
    assert told["cost"] == pytest.approx((told["tokens_in"] * 2 + 1500 * 4) / 1e6)
    assert server.requests == [] and not (tmp_path / "out").exists()


def test_only_what_is_missing_is_reckoned_and_the_pools_own_column_is_free(pool_file, chosen, tmp_path, server, capsys):
    server.faults.extend([Fault()] * 4 + [Fault(401)])
    line = command(pool_file, chosen, tmp_path, server, "--format", "json", "--price-in", "2")
    assert main(line) == 1
    assert main([*line, "--dry-run"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["requests"] == 6
    assert main([*line, "--dry-run", "--image-tokens", "3000"]) == 0
    assert json.loads(capsys.readouterr().out)["tokens_in"] == told["tokens_in"] + 6 * 2000
    assert main([*line, "--dry-run", "--annotator", "column"]) == 0
    assert json.loads(capsys.readouterr().out)["cost"] == 0


def test_the_command_fails_where_rows_got_no_answer_and_keeps_the_rest(pool_file, chosen, tmp_path, server, capsys):
    server.faults.extend([Fault(), *[Fault(503, {"Retry-After": "0"})] * 6])
    line = command(pool_file, chosen, tmp_path, server)
    assert main(line) == 1
    assert "1 rows got no answer; the same command asks for these again" in capsys.readouterr().err
    assert main(line) == 0


def test_two_commands_do_not_pay_for_the_same_answers(pool_file, chosen, tmp_path, server, capsys):
    with RunFolder(tmp_path / "out").claimed():
        assert main(command(pool_file, chosen, tmp_path, server)) == 2
    assert "another process" in capsys.readouterr().err and server.requests == []


@pytest.mark.parametrize(
    ("flags", "words"),
    [(["--annotator", "local"], "--annotator-model"), (["--annotator", "column", "--max-cost", "3"], "--price-in")],
)
def test_flags_that_make_no_sense_are_refused(pool_file, tmp_path, capsys, flags, words):
    assert main(["annotate", pool_file, "--out", str(tmp_path / "o"), *flags]) == 2
    assert words in capsys.readouterr().err


def test_killed_at_any_moment_it_asks_only_for_what_is_missing(pool_file, chosen, tmp_path, server):
    line = command(pool_file, chosen, tmp_path, server)
    # Killed right after the fourth answer is on the disk.
    killer = (
        "import os, signal, sys\n"
        "from hf_select.annotate.journal import Journal\n"
        "from hf_select.cli.main import main\n"
        "write, count = Journal.write, []\n"
        "def deadly(self, entry):\n"
        "    write(self, entry)\n"
        "    count.append(1)\n"
        "    if len(count) == 4:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "Journal.write = deadly\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    environment = os.environ | {"HF_HUB_OFFLINE": "0"}
    killed = subprocess.run([sys.executable, "-c", killer, *line], env=environment, capture_output=True, timeout=120)
    assert killed.returncode == -signal.SIGKILL
    asked = len(server.requests)
    assert 4 <= asked <= 5  # the one that was under way was paid for and lost with the process
    assert main(line) == 0
    assert len(server.requests) == asked + 6


def test_a_folder_of_somebody_elses_data_is_never_replaced(pool_file, tmp_path, capsys):
    (tmp_path / "out" / "data").mkdir(parents=True)
    (tmp_path / "out" / "data" / "theirs.txt").write_text("theirs")
    assert main(["annotate", pool_file, "--annotator", "column", "--out", str(tmp_path / "out")]) == 2
    assert "did not write" in capsys.readouterr().err
    assert (tmp_path / "out" / "data" / "theirs.txt").read_text() == "theirs"


def test_changed_instructions_of_the_pool_are_read_anew(pool, chosen, tmp_path):
    annotate(pool, chosen, ColumnAnnotator(), tmp_path, view=VIEW)
    changed = pool.map(lambda row: {"conversations": [row["conversations"][0], {"from": "gpt", "value": "Changed."}]})
    done = annotate(changed, chosen, ColumnAnnotator(), tmp_path, view=VIEW)
    assert {turns[-1]["value"] for turns in done.dataset["conversations"]} == {"Changed."}
