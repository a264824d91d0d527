"""Pools on the Hub, read from the loopback Hub at exactly the commit that was asked for."""

import io
import json

import datasets
import pytest
from PIL import Image

from hf_select.errors import HFSelectError, UsageError
from hf_select.pool.hub import commit_of
from hf_select.pool.read import read_pool
from hf_select.pool.view import PoolView


def jsonl(*answers):
    """One row for each answer."""
    talks = [[{"from": "human", "value": "Hi"}, {"from": "gpt", "value": answer}] for answer in answers]
    return "\n".join(json.dumps({"id": str(n), "conversations": talk}) for n, talk in enumerate(talks)).encode()


def pool(*answers):
    return {"train.jsonl": jsonl(*answers)}


def answers(read):
    return [row["conversations"][1]["value"] for row in read]


def everything(hub, **fault):
    for method in ("GET", "HEAD"):
        hub.fail(method, "", times=10**6, **fault)


def png(colour):
    out = io.BytesIO()
    Image.new("RGB", (8, 6), colour).save(out, "PNG")
    return out.getvalue()


def test_main_a_branch_a_tag_and_a_commit(hub):
    repo = hub.repo("me/pool", files=pool("one"))
    first = hub.head("me/pool")
    repo.refs |= {"refs/tags/v1": first, "refs/heads/a/b": first}
    second = hub.push("me/pool", pool("two", "three"))
    assert answers(read_pool("me/pool")) == answers(read_pool("me/pool", revision=second)) == ["two", "three"]
    for revision in (first, "v1", "a/b"):
        assert answers(read_pool(f"me/pool@{revision}")) == ["one"]
    assert answers(read_pool("me/pool@v1", streaming=True)) == ["one"]
    assert commit_of("me/pool", "v1", "dataset") == first


def test_a_configuration_has_to_be_chosen(hub):
    card = b"---\nconfigs:\n- {config_name: a, data_files: a.jsonl}\n- {config_name: b, data_files: b.jsonl}\n---\n"
    hub.repo("me/pool", files={"a.jsonl": jsonl("of a"), "b.jsonl": jsonl("of b"), "README.md": card})
    assert answers(read_pool("me/pool", config="b")) == ["of b"]
    with pytest.raises(UsageError, match=r"^me/pool can't be read: Config name is missing. Please pick one"):
        read_pool("me/pool")


def test_cac_02_a_changed_picture_is_another_pool(hub):
    def picture(colour):
        row = {"id": ["a"], "image": [{"bytes": png(colour), "path": "a.png"}]}
        row["conversations"] = [[{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "This."}]]
        out = io.BytesIO()
        features = datasets.Dataset.from_dict({"id": ["a"], "conversations": row["conversations"]}).features
        full = datasets.Features(features | {"image": datasets.Image()})
        datasets.Dataset.from_dict(row, features=full).to_parquet(out)
        return {"data/train-00000-of-00001.parquet": out.getvalue()}

    hub.repo("me/pool", files=picture("black"))
    first, old = hub.head("me/pool"), read_pool("me/pool")
    hub.push("me/pool", picture("red"))
    new = read_pool("me/pool")
    assert new[0]["image"].getpixel((0, 0)) == (255, 0, 0)
    assert new._fingerprint != old._fingerprint
    again = read_pool(f"me/pool@{first}")
    assert again[0]["image"].getpixel((0, 0)) == (0, 0, 0) and again._fingerprint == old._fingerprint
    keys = [row.key for read in (old, new) for row in PoolView().rows(read.with_format("arrow")[:])]
    assert keys[0] != keys[1]


def test_a_pinned_revision_is_never_another_one_from_the_cache(hub):
    """`datasets` itself gives the newest copy in its cache here, whatever was asked for."""
    hub.repo("me/pool", files=pool("one"))
    first = hub.head("me/pool")
    second = hub.push("me/pool", pool("two"))
    third = hub.push("me/pool", pool("three"))
    read_pool(f"me/pool@{first}")
    read_pool(f"me/pool@{second}")
    everything(hub, kind="reset")
    assert answers(read_pool(f"me/pool@{first}")) == ["one"]
    assert answers(read_pool(f"me/pool@{first}", streaming=True)) == ["one"]
    assert answers(read_pool(f"me/pool@{second}")) == ["two"]
    with pytest.raises(HFSelectError, match=rf"can't be reached.*doesn't hold me/pool at {third[:8]}, only at"):
        read_pool(f"me/pool@{third}")
    with pytest.raises(HFSelectError, match="can't be reached and the cache doesn't hold me/pool: connect once"):
        read_pool("me/pool")


def test_without_the_hub_main_is_what_it_was_last(hub, monkeypatch):
    hub.repo("me/pool", files=pool("one"))
    first = hub.head("me/pool")
    hub.push("me/pool", pool("two"))
    read_pool("me/pool")
    read_pool(f"me/pool@{first}")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    hub.log.clear()
    assert answers(read_pool("me/pool")) == ["two"]
    assert hub.log == []


def test_a_configuration_of_an_older_copy_has_to_be_chosen_too(hub):
    card = b"---\nconfigs:\n- {config_name: a, data_files: a.jsonl}\n- {config_name: b, data_files: b.jsonl}\n---\n"
    hub.repo("me/pool", files={"a.jsonl": jsonl("of a"), "b.jsonl": jsonl("of b"), "README.md": card})
    first = hub.head("me/pool")
    read_pool(f"me/pool@{first}", config="a")
    read_pool(f"me/pool@{first}", config="b")
    hub.push("me/pool", {"b.jsonl": jsonl("new b")})
    read_pool("me/pool", config="b")
    everything(hub, kind="reset")
    assert answers(read_pool(f"me/pool@{first}", config="b")) == ["of b"]
    with pytest.raises(HFSelectError, match=r"several configurations of me/pool .* choose one"):
        read_pool(f"me/pool@{first}")


@pytest.mark.parametrize(
    ("source", "signed_in", "words"),
    [
        ("me/none", True, r"there is no dataset me/none on the Hub that you may read.*log in"),
        ("me/secret", False, r"there is no dataset me/secret on the Hub that you may read.*log in"),
        ("org/gated", True, r"no dataset org/gated can be read at .*accept its terms"),
        ("org/gated", False, r"no dataset org/gated can be read at .*hf auth login"),
        ("me/secret@v9", True, r"the dataset me/secret has no revision 'v9'\.$"),
        ("me/secret@" + "a" * 40, True, r"no dataset me/secret can be read at aaaaaaaa: check its name and revision"),
        ("me/empty", True, r"me/empty holds no file that `datasets` reads"),
        ("me/script", True, r"me/script is made by a script.*me/script@refs/convert/parquet"),
        ("me/broken", True, r"me/broken can't be read: JSON parse error"),
    ],
)
def test_what_can_not_be_read_is_one_sentence(hub, monkeypatch, source, signed_in, words):
    hub.repo("me/secret", private=True, files=pool("one"))
    hub.repo("org/gated", gated=True, files=pool("one"))
    hub.repo("me/empty", files={"README.md": b"words"})
    hub.repo("me/script", files={"script.py": b"words", "a.jsonl": jsonl("one")})
    hub.repo("me/broken", files={"train.jsonl": b"{"})
    hub.sign_in(monkeypatch, hub.me if signed_in else None)
    with pytest.raises(UsageError, match=f"^{words}") as caught:
        read_pool(source)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"kind": "html", "status": 200}, "http://127.* doesn't answer as the Hub does, a proxy may stand between"),
        ({"status": 503}, "the Hub can't be reached and the cache doesn't hold me/pool: connect once"),
        ({"kind": "reset"}, "the Hub can't be reached and the cache doesn't hold me/pool: connect once"),
        ({"status": 429, "retry_after": 9}, r"the Hub refused to resolve me/pool \(HTTP 429\): it asks to wait"),
        (
            {"status": 401, "message": "Invalid credentials in Authorization header"},
            r"the Hub refused to resolve me/pool \(HTTP 401\): run `hf auth login` again",
        ),
    ],
)
def test_a_hub_in_trouble_is_one_sentence(hub, fault, words):
    hub.repo("me/pool", files=pool("one"))
    everything(hub, **fault)
    with pytest.raises(HFSelectError, match=f"^{words}") as caught:
        read_pool("me/pool")
    assert "\n" not in str(caught.value)
    hub.faults.clear()
    assert answers(read_pool("me/pool")) == ["one"]


@pytest.mark.parametrize("kind", ["cut", "short"])
def test_a_transfer_that_broke_off_goes_on_with_the_next_call(hub, kind):
    hub.repo("me/pool", files=pool("one"))
    hub.fail("GET", "train.jsonl", kind=kind, times=10**6)
    with pytest.raises(
        HFSelectError, match=r"^reading me/pool from the Hub broke off \(.*run the same again"
    ) as caught:
        read_pool("me/pool")
    assert "\n" not in str(caught.value)
    hub.faults.clear()
    assert answers(read_pool("me/pool")) == ["one"]
