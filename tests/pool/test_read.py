import hashlib
import os
import sys

import datasets
import pictures
import pytest
from datasets import Dataset, DatasetDict, Features, Image, List, Value
from json_pools import BLUE, RED, row, turns, write

from hf_select.errors import UnknownName, UsageError
from hf_select.pool.read import read_pool
from hf_select.pool.view import PoolView, exact_values


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return pictures.write(tmp_path / "pool")


def rows(pool, **options):
    return PoolView(**options).rows(pool.with_format("arrow")[:])


def exact(pool):
    table = pool.with_format("arrow")[:]
    columns = {name: exact_values(table[name]) for name in table.column_names}
    return [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]


MIXED_IDS = [
    row(id=7, image=RED),
    row(id="7", image=BLUE),
    row(id="a-7", image=RED, conversations=turns("<image>Shape?")),
]


@pytest.mark.parametrize("name", ["pool.json", "pool.jsonl"])
def test_sch_04_mixed_ids_from_files(root, name):
    pool = read_pool(write(root, name, MIXED_IDS))
    assert [record["id"] for record in exact(pool)] == [7, "7", "a-7"]
    assert pool["id"] == [7, "7", "a-7"]
    found = rows(pool)
    assert [r.id for r in found] == ["7", "7", "a-7"]
    assert len({r.key for r in found}) == 3
    assert [os.path.basename(r.images[0].name) for r in found] == ["red8x6.png", "blue8x6.png", "red8x6.png"]


def test_sch_04_mixed_ids_from_a_list(root):
    columns = {name: [record[name] for record in MIXED_IDS] for name in MIXED_IDS[0]}
    direct = PoolView(image_root=str(root)).rows(columns)
    assert [r.key for r in direct] == [r.key for r in rows(read_pool(write(root, "pool.json", MIXED_IDS)))]


@pytest.mark.parametrize(
    "answers", [["2024-01-01", "2024-01-02"], ["007", "010"], ["true", "false"], ["null", "None"], ["1e5", "NaN"]]
)
@pytest.mark.parametrize("name", ["pool.json", "pool.jsonl"])
def test_sch_07_texts_stay_texts(root, name, answers):
    records = [{"question": "Which?", "answer": answer, "image": RED} for answer in answers]
    pool = read_pool(write(root, name, records))
    assert pool["answer"] == answers
    assert [r.answers for r in rows(pool)] == [(answer,) for answer in answers]


def test_sch_08_image_is_str_or_list(root):
    records = [
        row(id="m1", image=[RED, BLUE], conversations=turns("<image>\n<image>\nWhich?")),
        row(id="m2", image=RED),
    ]
    pool = read_pool(write(root, "pool.json", records))
    assert pool.features["image"] == List(Image())
    found = rows(pool)
    assert [[os.path.basename(i.name) for i in r.images] for r in found] == [
        ["red8x6.png", "blue8x6.png"],
        ["red8x6.png"],
    ]
    assert pool[1]["image"][0].getpixel((0, 0)) == (200, 30, 40)


@pytest.mark.parametrize("first", [{"image": None}, {}])
@pytest.mark.parametrize("order", [1, -1])
def test_sch_11_column_absent_or_null_in_the_first_file(root, first, order):
    files = [
        write(root, "part-0.jsonl", [{"id": "s0", "conversations": turns("Say yes.", "Yes."), **first}]),
        write(root, "part-1.jsonl", [row(id="s1", image=RED)]),
    ]
    pool = read_pool(files[::order])
    assert pool.features["image"] == Image()
    found = {r.id: len(r.images) for r in rows(pool)}
    assert found == {"s0": 0, "s1": 1}
    assert [r.id for r in rows(pool)] == ["s0", "s1"][::order]


def test_a_folder_is_read_in_the_order_of_names(root):
    for number in (2, 0, 1):
        write(root, f"part-{number}.jsonl", [row(id=str(number), image=RED)])
    assert read_pool(root)["id"] == ["0", "1", "2"]


def test_sch_12_paths_in_typed_parts_start_from_the_file(root):
    content = [{"type": "image", "text": None, "image": RED}, {"type": "text", "text": "Colour?", "image": None}]
    answer = [{"type": "text", "text": "Red.", "image": None}]
    messages = [{"role": "user", "content": content}, {"role": "assistant", "content": answer}]
    (found,) = rows(read_pool(write(root, "pool.jsonl", [{"messages": messages}])))
    assert (found.status, found.turns) == ("ok", (("Colour?", "Red."),))
    assert found.images[0].open().getpixel((0, 0)) == (200, 30, 40)


def test_sch_13_mixed_content_from_a_file(root):
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Colour?"}]},
        {"role": "assistant", "content": "Red."},
    ]
    pool = read_pool(write(root, "pool.jsonl", [{"messages": messages, "images": [RED]}]))
    assert exact(pool)[0]["messages"] == messages
    (found,) = rows(pool)
    assert found.turns == (("Colour?", "Red."),)
    assert found.messages[0].text == "Be brief."


def test_sch_22_absent_label_is_null(root):
    records = [row(task_name="t", image=RED), row(image=RED), row(task_name=None, image=RED)]
    assert [r.task for r in rows(read_pool(write(root, "pool.jsonl", records)))] == ["t", None, None]


def test_sch_25_documents_are_refused_when_they_are_read(root):
    document = {"text_list": ["First."], "image_info": [{"image_name": "a.png"}], "similarity_matrix": [[0.1]]}
    with pytest.raises(UsageError, match="no assistant turn"):
        read_pool(write(root, "pool.jsonl", [document]))


def test_sch_32_extra_keys_come_back_unchanged(root):
    extra = [
        {"from": "human", "value": "How?"},
        {"from": "gpt", "value": "So.", "text": "x", "markdown": {"type": "m"}},
    ]
    records = [{"id": "x1", "conversations": extra}, {"id": "x2", "conversations": turns("Hi", "Hello.")}]
    pool = read_pool(write(root, "pool.json", records))
    assert exact(pool) == records
    assert pool[:]["conversations"] == [record["conversations"] for record in records]
    assert [r.answers for r in rows(pool)] == [("So.",), ("Hello.",)]


def test_txt_19_blanks_come_back_byte_for_byte(root):
    records = [
        row(id="w1", conversations=turns(" Hi \n", " Hello. ")),
        row(id="w2", conversations=turns("Hi", "Hello.")),
    ]
    assert exact(read_pool(write(root, "pool.jsonl", records))) == [
        {"conversations": record["conversations"], "id": record["id"]} for record in records
    ]


@pytest.mark.parametrize("streaming", [False, True])
def test_img_09_a_broken_picture_costs_its_own_row(root, streaming):
    names = [RED, "img/truncated.jpg", BLUE]
    pool = read_pool(write(root, "pool.jsonl", [row(id=n, image=n) for n in names]), streaming=streaming)
    seen = []

    def look(batch):
        seen.extend(PoolView().rows(batch))
        return {"n": [1] * len(batch["id"])}

    counted = pool.map(look, batched=True, batch_size=2)
    assert sum(record["n"] for record in (counted.remove_columns("image") if not streaming else counted)) == 3
    assert [r.id for r in seen] == names
    assert [r.status for r in seen] == ["ok"] * 3
    assert [r.images[0].problem() for r in seen] == [None] * 3
    with pytest.raises(Exception, match="truncated"):
        seen[1].images[0].open()


def test_img_20_reading_rows_in_map_does_not_encode_pictures_again(root):
    source = (root / "img/noise32.jpg").read_bytes()
    features = Features({"image": Image(), "question": Value("string"), "answer": Value("string")})
    pool = Dataset.from_list([{"image": {"bytes": source, "path": None}, "question": "Q?", "answer": "A"}], features)
    mapped = read_pool(pool).map(lambda batch: {"key": [r.key for r in PoolView().rows(batch)]}, batched=True)
    stored = mapped.with_format("arrow")[:]["image"][0].as_py()["bytes"]
    assert hashlib.sha256(stored).digest() == hashlib.sha256(source).digest()


def test_img_20_paths_stay_paths(root):
    pool = read_pool(write(root, "pool.jsonl", [row(image="img/noise32.jpg")]))
    assert exact(pool)[0]["image"] == {"bytes": None, "path": str(root / "img/noise32.jpg")}


def test_image_root_moves_all_paths(root):
    path = write(root, "notes/pool.jsonl", [row(image="red8x6.png"), row(image=str(root / BLUE))])
    found = rows(read_pool(path, image_root=root / "img"))
    assert [r.status for r in found] == ["ok", "ok"]


def test_urls_and_data_uris_in_image_columns_are_not_fetched(root):
    pool = read_pool(write(root, "pool.jsonl", [row(image="https://example.com/a.png"), row(image=RED)]))
    assert pool.features["image"] == Image(decode=False)
    assert [r.status for r in rows(pool)] == ["url_refused", "ok"]


def test_parquet_with_paths_and_with_bytes(root):
    write_to = root / "data"
    write_to.mkdir()
    Dataset.from_list([row(image=RED)]).to_parquet(write_to / "a.parquet")
    (found,) = rows(read_pool(write_to / "a.parquet", image_root=root))
    assert found.status == "ok"
    embedded = Dataset.from_list([row(image=str(root / RED))]).cast_column("image", Image())
    embedded.to_parquet(write_to / "b.parquet")
    (found,) = rows(read_pool(write_to / "b.parquet"))
    assert found.images[0].bytes() == (root / RED).read_bytes()


def test_a_saved_dataset_and_its_splits(root, tmp_path):
    pool = Dataset.from_list([row(id="a", image=str(root / RED))])
    pool.save_to_disk(tmp_path / "saved")
    assert read_pool(tmp_path / "saved")["id"] == ["a"]
    DatasetDict({"train": pool, "test": pool}).save_to_disk(tmp_path / "splits")
    assert read_pool(tmp_path / "splits")["id"] == ["a"]
    DatasetDict({"a": pool, "b": pool}).save_to_disk(tmp_path / "unclear")
    with pytest.raises(UsageError, match="splits a, b"):
        read_pool(tmp_path / "unclear")
    assert read_pool(tmp_path / "unclear", split="b")["id"] == ["a"]


def test_datasets_in_memory(root):
    pool = Dataset.from_list([row(id="a", image=RED)])
    assert read_pool(pool) is pool
    assert rows(read_pool(pool, image_root=root))[0].status == "ok"
    assert read_pool(DatasetDict({"only": pool})) is pool
    with pytest.raises(UnknownName, match="Did you mean 'train'"):
        read_pool(DatasetDict({"train": pool}), split="trian")
    stream = pool.to_iterable_dataset()
    assert read_pool(stream) is stream
    assert [record["id"] for record in read_pool(pool, streaming=True)] == ["a"]
    with pytest.raises(UsageError, match="DataFrame|int"):
        read_pool(7)


def test_two_revisions_are_one_too_many():
    with pytest.raises(UsageError, match="keep one"):
        read_pool("org/pool@a", revision="b")


@pytest.mark.parametrize(
    ("source", "options", "words"),
    [
        ("nowhere.jsonl", {}, "no file or folder"),
        ("./nowhere/pool", {}, "no file or folder"),
        (["nowhere.jsonl", "gone.jsonl"], {}, "no file or folder"),
        ([], {}, "no pool was given"),
        (".", {"revision": "main"}, "belongs to a Hub pool"),
    ],
)
def test_sources_that_are_not_there(source, options, words, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=words):
        read_pool(source, **options)


def test_what_can_not_be_read_says_so(root):
    (root / "notes.txt").write_text("text")
    with pytest.raises(UsageError, match="no JSON, JSONL or Parquet"):
        read_pool(root / "notes.txt")
    (root / "bare").mkdir()
    with pytest.raises(UsageError, match="holds no JSON"):
        read_pool(root / "bare")
    (root / "empty.jsonl").write_text("\n")
    with pytest.raises(UsageError, match="no record in"):
        read_pool(root / "empty.jsonl")
    with pytest.raises(UsageError, match="one split 'train'"):
        read_pool(write(root, "pool.jsonl", [row()]), split="test")
    with pytest.raises(UsageError, match="can't name a column"):
        read_pool(write(root, "odd.jsonl", [row(**{"a\0b": 1})]))
    with pytest.raises(UnknownName, match="task field 'tsk'"):
        read_pool(root / "pool.jsonl", task_field="tsk")
    with pytest.raises(UnknownName, match="Did you mean 'llava'"):
        read_pool(root / "pool.jsonl", schema="lava")


def test_rows_after_a_map_that_adds_columns_and_over_a_selection(root):
    pool = read_pool(write(root, "pool.json", MIXED_IDS)).select([2, 0])
    seen = []
    pool.map(lambda batch: seen.extend(PoolView().rows(batch)) or {"x": [0] * len(batch["id"])}, batched=True)
    assert [r.id for r in seen] == ["a-7", "7"]


def test_a_real_pool(shared, monkeypatch, tmp_path):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    pool = read_pool(shared / "pool" / "pool.jsonl")
    found = rows(pool)
    assert len(found) == 7671
    assert len({r.task for r in found}) == 11
    assert {r.status for r in found} == {"ok"}
    assert sys.getsizeof(found[0]) < 1000
