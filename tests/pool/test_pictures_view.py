"""The view "images": pictures and tasks, and nothing of the instructions a pool may have."""

import json

import pytest
import tiny
from chat_rows import RED, columns, llava, one, read
from datasets import Dataset
from PIL import Image

from hf_select.errors import HFSelectError, UsageError
from hf_select.pool.check import check_pool
from hf_select.pool.row import IMAGE, Message
from hf_select.pool.view import PoolView
from hf_select.sampling.uniform import Uniform
from hf_select.scoring.answer_loss import AnswerLoss
from hf_select.scoring.run import score
from hf_select.training.fit import fit

HIDDEN = "what only the instruction says"


@pytest.fixture
def root(tmp_path):
    (tmp_path / "img").mkdir()
    for name, colour in {"red8x6.png": "red", "blue8x6.png": "blue"}.items():
        Image.new("RGB", (8, 6), colour).save(tmp_path / "img" / name)
    return tmp_path


def record(image=RED, text=HIDDEN, **other):
    return llava(("human", f"<image>\n{text}"), ("gpt", text), image=image, task="t", **other)


def test_a_row_is_its_pictures_and_its_task(root):
    row = one(record(), root, schema="images")
    assert row.messages == (Message("user", (IMAGE,)),)
    assert (row.task, row.status, len(row.images), row.answers) == ("t", "ok", 1, ())


def test_no_text_of_the_instruction_is_seen(root):
    row = one(record(id="7"), root, schema="images")
    assert HIDDEN not in repr(row)


def test_the_key_is_that_of_the_pictures_alone(root):
    one_text, other_text, other_picture = read(
        [record(), record(text="something else"), record("img/blue8x6.png")], root, schema="images"
    )
    assert one_text.key == other_text.key != other_picture.key


def test_several_pictures_are_several_places(root):
    row = one(record([RED, "img/blue8x6.png"]), root, schema="images")
    assert row.messages == (Message("user", (IMAGE, IMAGE)),)


def test_rows_without_a_picture_and_with_a_missing_one_have_a_status(root):
    none, lost = read([record(None), record("img/none.png")], root, schema="images")
    assert none.status == "no_image" and "no picture" in none.reason
    assert lost.status == "image_missing"


def test_the_key_of_a_row_without_a_picture_does_not_depend_on_its_texts_either(root):
    first, second = read([record(None), record(None, text="something else")], root, schema="images")
    assert first.key == second.key


def test_a_pool_without_any_image_column_is_refused_in_one_sentence(root):
    with pytest.raises(UsageError, match="the schema images needs one of the columns"):
        one(llava(("human", "?"), ("gpt", "!")), root, schema="images")


def test_a_pool_of_pictures_and_labels_is_recognised(root):
    picture = {"bytes": (root / RED).read_bytes(), "path": None}
    assert PoolView(task_field="label").schema_of({"image": [picture], "label": [3]}) == "images"
    assert one({"image": picture, "label": 3}, task_field="label").task == "3"


def test_a_column_of_unknown_texts_is_not_hidden_by_itself(root):
    batch = {"image": [str(root / RED)], "caption": ["a red picture"]}
    with pytest.raises(UsageError, match="no public schema fits"):
        PoolView().rows(batch)
    assert PoolView(schema="images").rows(batch)[0].status == "ok"


def test_the_columns_of_scores_do_not_hide_what_was_recognised(root):
    batch = {"image": [str(root / RED)], "row_key": ["0"], "loss_full": [None]}
    assert PoolView().schema_of(batch) == "images"


def test_copies_have_addresses_of_their_own_and_are_applied(root, tmp_path):
    view = PoolView(schema="images", image_root=str(root))
    pool = Dataset.from_dict(columns(*(record(text=str(number)) for number in range(3)), record("img/blue8x6.png")))
    scored = score(pool, view=view, cache_dir=tmp_path / "c")
    assert scored["row_turns"] == [0] * 4 and len(set(scored["row_key"])) == 2
    chosen = Uniform().select(scored, 4, seed=1)
    assert sorted(key.partition("+")[2] for key in chosen.keys) == ["", "", "2", "3"]
    texts = [turns[1]["value"] for turns in chosen.apply(pool, view)["conversations"]]
    assert sorted(texts) == sorted(["0", "1", "2", HIDDEN])


def test_check_finds_nothing_broken_in_it(root):
    pool = Dataset.from_dict(columns(record(), record("img/blue8x6.png")))
    report = check_pool(pool, PoolView(schema="images", image_root=str(root)))
    data = report.as_dict()
    assert report.schema == "images" and data["rows"] == 2
    assert not report.problems
    assert report.without_answer == 2 and "rows without an answer" in report.render()
    assert HIDDEN not in json.dumps(data) + report.render()


def test_scores_of_answers_say_that_there_are_none(root, tmp_path):
    view = PoolView(schema="images", image_root=str(root))
    pool = Dataset.from_dict(columns(record(), record("img/blue8x6.png")))
    scored = score(pool, AnswerLoss(model=str(tiny.llava(tmp_path / "m")), view=view), cache_dir=tmp_path / "c")
    assert scored["row_status"] == ["ok", "ok"]
    assert scored["loss_status"] == ["no_supervised_tokens"] * 2
    assert scored["loss_full"] == [None, None]


def test_fitting_says_that_there_is_nothing_to_learn(root, tmp_path):
    pool = Dataset.from_dict(columns(record(), record("img/blue8x6.png")))
    view = PoolView(schema="images", image_root=str(root))
    with pytest.raises(HFSelectError, match="no row can be trained on .2 no_supervised_tokens"):
        fit(str(tiny.llava(tmp_path / "m")), pool, tmp_path / "out", view=view, device="cpu")
