"""`--config file.yaml`."""

from __future__ import annotations

import pytest

from hf_select.cli.config import read_config
from hf_select.errors import UsageError

ALLOWED = ["budget", "micro_batch"]


def write(folder, text):
    path = folder / "c.yaml"
    path.write_text(text)
    return path


def test_dashes_and_underscores_are_the_same(tmp_path):
    assert read_config(write(tmp_path, "micro-batch: 4\nbudget: 15%"), ALLOWED) == {"micro_batch": "4", "budget": "15%"}


def test_an_empty_file_sets_nothing(tmp_path):
    assert read_config(write(tmp_path, "# nothing\n"), ALLOWED) == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("bugdet: 3", "unknown option in .*c.yaml 'bugdet'.*Did you mean 'budget'"),
        ("- a", "holds a list; it must map"),
        ("a: [", "is not YAML"),
        ("micro-batch: 1\nmicro_batch: 2", "sets 'micro_batch' twice"),
        ("!!python/object/apply:os.getcwd []", "is not YAML"),
    ],
)
def test_a_bad_file_is_one_sentence(tmp_path, text, words):
    with pytest.raises(UsageError, match=words) as caught:
        read_config(write(tmp_path, text), ALLOWED)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UsageError, match="absent.yaml: No such file"):
        read_config(tmp_path / "absent.yaml", ALLOWED)
