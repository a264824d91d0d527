import pytest

from hf_select.annotate.parse import FORMAT
from hf_select.annotate.prompts import Prompts
from hf_select.errors import UnknownName, UsageError


@pytest.mark.parametrize(
    ("task", "kind"),
    [
        ("blood_cell_count", "counting"),
        ("chart_open_qa", "chart"),
        ("ChartQA", "chart"),
        ("receipt_extraction", "document"),
        ("OCR-VQA", "document"),
        ("visual_puzzle", "reasoning"),
        ("image_caption", "captioning"),
        ("llava_conversation_58k", "conversation"),
        ("clothing_type", "vqa"),
        ("textvqa", "document"),
        ("infographicsVQA", "document"),
        ("how_many_objects", "counting"),
        ("llava_multi_turn", "conversation"),
        ("ScienceQA", "reasoning"),
        ("Country211+country_classification", "vqa"),
        ("DTD+coarse_grained_texture_classification", "vqa"),
        ("photographs", "vqa"),
        ("biological_information", "vqa"),
        ("multiple_choice", "vqa"),
        ("vqa", "vqa"),
        ("\u63cf\u8ff0", "vqa"),
        (None, "vqa"),
    ],
)
def test_the_name_of_a_task_tells_its_kind(task, kind):
    assert Prompts().kind(task) == kind


def test_every_prompt_asks_for_the_form_and_holds_no_task_name():
    for task in ("count {{ x }}", "chart", "doc", "math", "caption", "chat", "other"):
        prompt = Prompts().of(task)
        assert prompt.endswith(FORMAT)
        assert "{{" not in prompt


def test_a_users_file_goes_first(tmp_path):
    file = tmp_path / "p.yaml"
    file.write_text("kinds:\n  mine: Ask for the colour.\n  vqa: Another text.\ntasks:\n  chart_open_qa: mine\n")
    prompts = Prompts.load(file)
    assert prompts.of("chart_open_qa").startswith("Ask for the colour.\n")
    assert prompts.of("anything").startswith("Another text.\n")
    assert prompts.kind("blood_cell_count") == "counting"


@pytest.mark.parametrize("text", ["- a", "kinds: [a]", "tasks: {a: 1}", "other: {}", "kinds: {a: [", "x"])
def test_other_files_are_refused(tmp_path, text):
    file = tmp_path / "p.yaml"
    file.write_text(text)
    with pytest.raises(UsageError, match=r"p\.yaml"):
        Prompts.load(file)


def test_unknown_kinds_and_files_are_refused(tmp_path):
    with pytest.raises(UnknownName, match="captioning"):
        Prompts(tasks={"a": "caption"})
    with pytest.raises(UsageError, match="none.yaml"):
        Prompts.load(tmp_path / "none.yaml")


def test_an_empty_file_changes_nothing(tmp_path):
    (tmp_path / "p.yaml").write_text("")
    assert Prompts.load(tmp_path / "p.yaml") == Prompts()
