"""Documents of every benchmark as pictures and questions."""

import benchmark_data
import pytest
from datasets import Dataset

from hf_select.errors import UsageError
from hf_select.evaluation.data import documents
from hf_select.evaluation.documents import Document, documents_of, hash_documents
from hf_select.evaluation.suite import load_benchmarks

WRITTEN = {(name, config) for name, config, _ in benchmark_data.SETS}
TASKS = [task for task, known in load_benchmarks().items() if (known.dataset, known.config) in WRITTEN]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return benchmark_data.write(tmp_path_factory.mktemp("data"))


@pytest.mark.parametrize("task", TASKS)
def test_every_document_has_its_pictures_and_its_question(root, task):
    found = documents(load_benchmarks()[task], data_root=root)
    read = list(documents_of(found.rows, task, pictures=found.pictures))
    assert [document.doc_id for document in read] == list(range(len(found.rows)))
    assert all(document.question and document.images for document in read)
    hashed = hash_documents(read)
    assert set(hashed["status"].to_pylist()) == {"ok"}
    assert [len(files) for files in hashed["image_files"].to_pylist()] == [len(one.images) for one in read]


def test_a_picture_that_is_not_among_the_stored_ones_costs_its_own_document(root):
    found = documents(load_benchmarks()["gqa"], data_root=root)
    fewer = found.pictures.select(range(1))
    statuses = hash_documents(documents_of(found.rows, "gqa", pictures=fewer))["status"].to_pylist()
    assert "ok" in statuses and "image_missing" in statuses


@pytest.mark.parametrize("columns", [{"image": ["a.png"]}, {"question": ["What?"], "text": ["a"]}])
def test_documents_without_a_question_or_a_picture_column_are_refused(columns):
    with pytest.raises(UsageError, match="the documents of t have no column"):
        next(documents_of(Dataset.from_dict(columns), "t"))


def test_several_pictures_and_none():
    rows = Dataset.from_dict({"images": [["a.png", None, "b.png"], None], "question": ["What?", None]})
    assert [(list(one.images), one.question) for one in documents_of(rows, "t")] == [
        (["a.png", "b.png"], "What?"),
        ([], ""),
    ]
    hashed = hash_documents([Document("t", 0, [], "What?"), Document("t", 1, ["nowhere.png"], "What?")])
    assert hashed["image_files"].to_pylist() == [[], None]
    assert hashed["status"].to_pylist() == ["ok", "image_missing"]
