import json

import datasets
import pictures
import pytest
from datasets import Dataset, Features, Image, Json, List, Value

from hf_select.errors import UsageError
from hf_select.pool.check import check_pool
from hf_select.pool.read import read_pool
from hf_select.pool.view import PoolView

RED = "img/red8x6.png"
BLUE = "img/blue8x6.png"
GREY = "img/grey16.png"


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return pictures.write(tmp_path / "pool")


def row(image=None, question="<image>\nColour?", answer="Red.", **fields):
    turns = [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
    return {"image": image, "conversations": turns, **fields}


def check(root, records, **options):
    path = root / "pool.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return check_pool(read_pool(path), **options)


def test_sch_02_text_only_rows_are_counted(root):
    report = check(root, [row(RED), row(question="A synonym of quick?")])
    assert report.as_dict()["text_only_rows"] == 1
    assert report.images == 1
    assert report.statuses == {"ok": 2}
    assert report.problems == []


def test_sch_20_four_unsafe_task_names_are_four_lines(root):
    tasks = ["ai(c,llava)", "ai/c+llava", "ai_c_llava", "yes: no"]
    report = check(root, [row(RED, answer=task, data_source=task) for task in tasks])
    assert report.as_dict()["tasks"] == dict.fromkeys(tasks, 1)
    assert all(task in report.render() for task in tasks)


def test_sch_22_rows_without_task_are_a_problem(root):
    report = check(root, [row(RED, task_name="t"), row(BLUE), row(GREY, task_name=None)])
    assert sum(report.tasks.values()) == 3
    assert report.as_dict()["rows_without_task"] == 2
    assert report.problems == ["2 rows have no task"]
    assert check(root, [row(RED)]).problems == []


def test_sch_34_video_rows_are_no_text_only_rows(root):
    records = [row(RED, video=None), row(question="<video>\nWhat moves?", video="clip.mp4", id="vid1")]
    report = check(root, records)
    assert report.statuses == {"ok": 1, "unsupported_modality": 1}
    assert report.text_only == 0


def test_sch_37_exact_duplicates_are_counted(root):
    report = check(root, [row(RED), row(RED), row(RED), row(BLUE, answer="Blue.")])
    assert report.as_dict()["exact_duplicates"] == 2
    assert report.distinct_images == 2
    assert report.problems == ["2 rows repeat an earlier row"]


def test_img_18_rows_and_pictures_are_both_counted(root):
    report = check(root, [row(RED), row(RED, question="<image>\nShape?"), row(BLUE)])
    assert (report.rows, report.images, report.distinct_images) == (3, 3, 2)


def test_every_bad_picture_has_its_status_and_reason(root):
    bad = {
        "truncated.jpg": "image_unreadable",
        "zero.jpg": "image_unreadable",
        "html_page.jpg": "image_unreadable",
        "only_as_gif.jpg": "image_missing",
        "bomb_header.png": "image_too_large",
    }
    report = check(root, [row(RED), *(row(f"img/{name}", id=name) for name in bad), row(BLUE)])
    assert report.rows == 7
    assert report.statuses == {"ok": 2, "image_unreadable": 3, "image_missing": 1, "image_too_large": 1}
    reasons = [reason for found in report.reasons.values() for reason in found]
    assert all(any(name in reason for reason in reasons) for name in bad)
    assert len(report.problems) == 3
    assert report.images_opened == 2


def test_decisions_of_the_reader_are_counted(root):
    """TXT-04, TXT-10, TXT-12, IMG-16."""
    leading = [{"from": "gpt", "value": "Hello."}, *row()["conversations"]]
    trailing = [*row()["conversations"], {"from": "human", "value": "Bye?"}]
    records = [
        row(RED, question="Colour?"),
        {"image": BLUE, "conversations": leading},
        {"image": GREY, "conversations": trailing},
        row([None, RED], answer="Crimson."),
    ]
    report = check(root, records)
    wanted = {"image_placed": 1, "leading_assistant": 1, "trailing_user": 1, "image_null": 1}
    assert report.as_dict()["notes"] == wanted
    assert "answers before the first question left out" in report.render()


def test_several_images_and_empty_answers(root):
    report = check(root, [row([RED, BLUE], question="<image><image>Same?"), row(RED, answer=" \n")])
    assert report.multi_image == 1
    assert report.empty_answers == 1
    assert report.problems == ["1 row has an empty answer"]


def words(text):
    return {"input_ids": text.split()}


def test_rows_longer_than_the_window(root):
    report = check(root, [row(RED), row(RED, answer="a " * 50)], tokenizer=words, max_length=10)
    assert report.too_long == 1
    assert report.problems == ["1 row is too long for the window"]
    with pytest.raises(UsageError, match="both"):
        check(root, [row(RED)], max_length=10)


@pytest.mark.parametrize(("sample", "opened"), [(None, 10), (0, 0), (1, 1), (4, 4), (10, 10), (99, 10)])
def test_a_sample_of_images_is_opened(root, sample, opened):
    report = check(root, [row(RED, answer=str(n)) for n in range(10)], sample=sample)
    assert report.images_opened == opened
    assert report.distinct_images == 1


def test_a_sample_is_spread_over_the_pool(root):
    """The broken picture is the last of ten; a sample of the first rows would miss it."""
    records = [row(RED, answer=str(n)) for n in range(9)] + [row("img/truncated.jpg")]
    assert check(root, records, sample=10).statuses["image_unreadable"] == 1
    halves = [row("img/truncated.jpg" if n % 5 else RED, answer=str(n)) for n in range(10)]
    assert check(root, halves, sample=5).statuses["image_unreadable"] in range(1, 6)


def test_a_stream_gives_the_same_report(root):
    path = root / "pool.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in [row(RED), row(RED), row("img/truncated.jpg", id="b")]))
    whole = check_pool(read_pool(path)).as_dict()
    assert check_pool(read_pool(path, streaming=True)).as_dict() == whole
    assert check_pool(read_pool(path).to_iterable_dataset()).as_dict() == whole


def test_a_pool_of_a_user_with_a_view(root):
    features = Features(
        {"image": List(Image()), "q": Value("string"), "messages": List(Json()), "kind": Value("string")}
    )
    turns = [
        {"role": "user", "content": "Colour?"},
        {"role": "assistant", "content": [{"type": "text", "text": "Red."}]},
    ]
    pool = Dataset.from_list([{"image": [str(root / RED)], "q": "x", "messages": turns, "kind": "k"}], features)
    report = check_pool(pool, PoolView(task_field="kind"))
    assert report.tasks == {"k": 1}
    assert report.statuses == {"ok": 1}


def test_an_empty_pool_is_reported(root):
    report = check_pool(Dataset.from_dict({"question": [], "answer": []}))
    assert report.rows == 0
    assert "0 rows" in report.render()


def test_text_of_a_pool_can_not_steer_the_terminal(root):
    assert "\x1b" not in check(root, [row("img/\x1b[2Jgone.png", task_name="\x1b[31mred")]).render()


@pytest.mark.slow
def test_a_real_pool(shared, tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    text = check_pool(read_pool(shared / "pool" / "pool.jsonl"), sample=500).render()
    assert text.startswith("7,671 rows, 11 tasks, schema llava")
    assert "nothing is wrong" in text
