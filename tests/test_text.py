from hf_select.text import plain, table


def test_numbers_stand_right_and_words_left():
    lines = table(["task", "rows"], [["a", 12345], ["long name", 7]]).splitlines()
    assert lines == ["task         rows", "---------  ------", "a          12,345", "long name       7"]


def test_dataset_text_cannot_move_the_cursor_or_break_a_line():
    assert plain("a\x1b[2Jb\nc\u202e") == "a?[2Jb c?"


def test_an_empty_table_keeps_its_heads():
    assert table(["task", "rows"], []).splitlines()[0] == "task  rows"
