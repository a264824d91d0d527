"""Which rows of a pool are in a benchmark: by picture, by question, and the pool without them."""

import io
import json

import benchmark_data
import pytest
from datasets import load_dataset
from PIL import Image, ImageDraw

import hf_select as hs
from hf_select.cli.main import main
from hf_select.evaluation.documents import Document
from hf_select.evaluation.overlap import FEW, overlap
from hf_select.pool.read import read_pool


def picture(number, side=120):
    """Boxes in places that only `number` has."""
    image = Image.new("RGB", (side, side), "white")
    draw = ImageDraw.Draw(image)
    for at in range(12):
        x, y = (number * 37 + at * 53) % side, (number * 71 + at * 29) % side
        draw.rectangle([x, y, x + 9 + number % 23, y + 14], fill=((number * 40) % 256, at * 20, 255 - at * 20))
    return image


def file_of(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


@pytest.fixture
def pool(tmp_path):
    """Ten rows: 0 the file, 1 the pixels, 2 a near picture, 3 only a question of the benchmark, the others nothing."""
    (tmp_path / "images").mkdir()
    rows = []
    for number in range(10):
        content = file_of(picture(number))
        if number == 1:
            content = file_of(picture(number), "BMP")
        if number == 2:
            content = file_of(picture(number).resize((60, 60)), "JPEG", quality=60)
        (tmp_path / "images" / f"{number}.img").write_bytes(content)
        question = "Which of the boxes is the largest one?" if number == 3 else f"What of {number}?"
        turns = [{"from": "human", "value": f"<image>\n{question}"}, {"from": "gpt", "value": "a"}]
        rows.append({"id": str(number), "image": f"images/{number}.img", "conversations": turns})
    (tmp_path / "pool.json").write_text(json.dumps(rows))
    return read_pool(str(tmp_path / "pool.json"))


@pytest.fixture
def documents():
    asked = [
        Document("docs", at, [file_of(picture(at))], f"Benchmark question number {at}, what is it?") for at in range(3)
    ]
    return [*asked, Document("docs", 3, [file_of(picture(50))], "which of the boxes is the LARGEST one")]


def test_pictures_are_found_by_file_by_pixels_and_by_look(pool, documents, tmp_path):
    report = overlap(pool, documents, cache_dir=tmp_path / "c")
    pairs = {(pair["row"], pair["doc_id"]): (pair["picture"], pair["question"]) for pair in report.pairs.to_pylist()}
    assert pairs == {(0, 0): ("file", None), (1, 1): ("pixels", None), (2, 2): ("near", None), (3, 3): (None, "same")}
    task = report.by_task()[0]
    assert (task["documents"], task["rows_leaking"], task["question_alone"]) == (4, 3, 1)


def test_rows_that_leak_are_left_out_with_their_reason(pool, documents, tmp_path):
    report = overlap(pool, documents, cache_dir=tmp_path / "c")
    kept = report.kept()
    assert kept.apply(pool)["id"] == [str(number) for number in range(3, 10)]
    assert kept.rejected == {
        "overlaps docs: same file": 1,
        "overlaps docs: same pixels": 1,
        "overlaps docs: near picture": 1,
    }
    report.save(tmp_path / "out", exclude=True)
    assert hs.Selection.load(tmp_path / "out").keys == kept.keys


def test_a_broken_picture_costs_itself_and_is_counted(pool, documents, tmp_path):
    broken = [*documents, Document("docs", 4, [b"no picture"], "What?")]
    report = overlap(pool, broken, cache_dir=tmp_path / "c")
    assert report.unread_documents == {"image_unreadable": 1}
    assert any("1 documents could not be compared" in note for note in report.notes())


def text_pool(folder, questions):
    """Rows without a picture."""
    rows = [
        {"id": str(at), "conversations": [{"from": "human", "value": text}, {"from": "gpt", "value": "a"}]}
        for at, text in enumerate(questions)
    ]
    folder.mkdir()
    (folder / "pool.json").write_text(json.dumps(rows))
    return read_pool(str(folder / "pool.json"))


def test_a_question_leaks_where_neither_side_has_a_picture(tmp_path):
    asked = "Which planet of the solar system is the largest?"
    pool = text_pool(tmp_path / "pool", [f"{asked}\nAnswer with one word.", "Another question altogether?"])
    read = [Document("science", 0, [], asked), Document("science", 1, [file_of(picture(1))], asked)]
    report = overlap(pool, read, cache_dir=tmp_path / "c")
    pairs = [(pair["row"], pair["doc_id"], pair["question"], pair["leaks"]) for pair in report.pairs.to_pylist()]
    assert pairs == [(0, 0, "near", True), (0, 1, "near", False)]
    assert report.left_out()["reason"].to_pylist() == ["overlaps science: same question, no picture"]


def test_a_question_that_is_asked_of_many_pictures_is_counted_and_not_listed(tmp_path):
    asked = "What is the title of the chart in the picture?"
    read = [Document("charts", at, [file_of(picture(at + 20))], asked) for at in range(FEW + 1)]
    report = overlap(text_pool(tmp_path / "pool", [asked]), read, cache_dir=tmp_path / "c")
    assert (report.pairs.num_rows, report.templates) == (0, 1)
    assert "not listed" in report.render()
    few = overlap(text_pool(tmp_path / "again", [asked]), read[:FEW], cache_dir=tmp_path / "c")
    assert (few.pairs.num_rows, few.templates) == (FEW, 0)


def test_copies_of_a_row_are_found_and_left_out_one_by_one(pool, documents, tmp_path):
    twice = pool.select([0, 5, 0])
    report = overlap(twice, documents, cache_dir=tmp_path / "c")
    keys = report.left_out()["key"].to_pylist()
    assert keys == [report.addresses[0], report.addresses[2]] and keys[1] == f"{keys[0]}+2"
    assert report.kept().apply(twice)["id"] == ["5"]


def test_the_strongest_pair_is_the_reason_and_order_changes_nothing(pool, documents, tmp_path):
    near = [Document("other", 0, [file_of(picture(0).resize((60, 60)))], "?"), *documents]
    report, turned = (overlap(pool, order, cache_dir=tmp_path / "c") for order in (near, near[::-1]))
    assert report.pairs.equals(turned.pairs)
    assert report.left_out()["reason"].to_pylist()[0] == "overlaps docs: same file"


def test_names_from_data_obey_no_terminal(pool, tmp_path, capsys):
    from hf_select.cli.output import Output

    report = overlap(pool, [Document("\x1b[31mred\n", 0, [file_of(picture(0))], "What?")], cache_dir=tmp_path / "c")
    Output().result(human=report.render(), data=report.as_dict())
    assert "\x1b" not in capsys.readouterr().out


def test_the_command_compares_with_a_suite(tmp_path, capsys):
    benchmark_data.write(tmp_path / "data", ["lmms-lab-encoder/ChartQA"])
    folder = next(path for path in (tmp_path / "data").rglob("ChartQA") if path.is_dir())
    charts = load_dataset(str(folder), split="test").with_format("arrow")[:]["image"].to_pylist()
    (tmp_path / "0.png").write_bytes(charts[0]["bytes"])
    turns = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "a"}]
    (tmp_path / "pool.json").write_text(json.dumps([{"id": "0", "image": "0.png", "conversations": turns}]))
    line = ["overlap", str(tmp_path / "pool.json"), "--suite", "documents", "--tasks", "chartqa", "--exclude"]
    line += ["--data-root", str(tmp_path / "data"), "--out", str(tmp_path / "out"), "--format", "json"]
    assert main(line) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["rows"], told["rows_leaking"]) == (1, 1)
    assert (tmp_path / "out" / "left_out.parquet").is_file()
    assert main([*line[:3], "demo", *line[6:]]) == 2
    assert "no benchmark" in capsys.readouterr().err
