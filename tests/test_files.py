import os
import stat

import pytest

from hf_select.files import is_part, replacing, write_atomically


def test_a_file_appears_whole_with_its_folder_and_the_users_mode(tmp_path):
    file = tmp_path / "a" / "b.txt"
    write_atomically(file, "é\r\n\n")
    assert file.read_bytes() == "é\r\n\n".encode()
    write_atomically(file, memoryview(b"new"))
    assert file.read_bytes() == b"new"
    plain = tmp_path / "plain"
    plain.touch()
    assert stat.S_IMODE(file.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)
    assert os.listdir(file.parent) == ["b.txt"]


def test_after_an_error_the_old_content_is_there_and_nothing_else(tmp_path):
    file = tmp_path / "b.txt"
    write_atomically(file, "old")
    with pytest.raises(KeyboardInterrupt), replacing(file) as part:
        part.write_text("half")
        assert is_part(part) and not is_part(file)
        raise KeyboardInterrupt
    assert (file.read_text(), os.listdir(tmp_path)) == ("old", ["b.txt"])


def test_two_writers_do_not_meet(tmp_path):
    file = tmp_path / "b.txt"
    with replacing(file) as one, replacing(file) as two:
        one.write_text("one")
        two.write_text("two")
    assert (file.read_text(), os.listdir(tmp_path)) == ("one", ["b.txt"])
