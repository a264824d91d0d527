import datasets
import pictures
import toys

from hf_select.pool.images import RowImage
from hf_select.scoring.row_facts import RowFacts


def facts(table):
    return RowFacts()({name: [row.get(name) for row in table] for name in table[0]})


def test_every_row_has_a_key_a_status_and_sizes():
    jpeg = toys.FORMATS["jpeg"](0)[1]
    table = toys.rows(3, lambda at: {"bytes": jpeg, "path": None} if at else None)
    table[2]["conversations"] *= 2
    table[2]["conversations"][2:] = [{"from": "human", "value": "And?"}, {"from": "gpt", "value": "Yes."}]
    columns = facts(table)
    assert set(columns) == set(RowFacts().adds)
    assert columns["row_status"] == ["ok"] * 3
    assert columns["row_reason"] == [""] * 3
    assert columns["row_images"] == [0, 1, 1]
    assert columns["row_turns"] == [1, 1, 2]
    assert columns["row_image_key"] == [None, RowImage.of(jpeg).digest, RowImage.of(jpeg).digest]
    assert len(set(columns["row_key"])) == 3
    assert all(len(key) == 32 for key in columns["row_key"])


def test_the_key_sees_pictures_and_turns_and_neither_id_nor_task():
    red, blue = pictures.plain("red"), pictures.plain("blue")
    base = toys.rows(1, lambda at: {"bytes": red, "path": None})[0]
    others = [
        base | {"id": "other", "task": "other"},
        base | {"image": {"bytes": red, "path": "elsewhere.png"}},
        base | {"image": {"bytes": blue, "path": None}},
        base | {"conversations": [base["conversations"][0], {"from": "gpt", "value": "else"}]},
    ]
    keys = facts([base | {"task": "a"}, *others])["row_key"]
    assert keys[0] == keys[1] == keys[2]
    assert len(set(keys)) == 3


def test_a_task_column_is_found():
    table = [row | {"task": "t"} for row in toys.rows(2)]
    assert facts(table)["row_task"] == ["t", "t"]
    assert facts(toys.rows(2))["row_task"] == [None, None]


def test_bad_rows_have_a_reason_and_a_key_each():
    table = toys.rows(3)
    table[0]["conversations"] = []
    table[1]["image"] = "missing.png"
    table[1]["conversations"][0]["value"] = "<image>\nWhat?"
    columns = facts(table)
    assert columns["row_status"] == ["invalid", "image_missing", "ok"]
    assert [bool(reason) for reason in columns["row_reason"]] == [True, True, False]
    assert len(set(columns["row_key"])) == 3


def test_no_image_is_decoded(monkeypatch):
    def refuse(self, *_, **__):
        raise AssertionError("an image was decoded")

    monkeypatch.setattr(datasets.Image, "decode_example", refuse)
    monkeypatch.setattr(RowImage, "open", refuse)
    assert toys.pool(3).map(RowFacts(), batched=True, remove_columns=["image"])["row_status"] == ["ok"] * 3
