"""The loopback Hub's faults: what the real client tries again, what it raises, and what is left then."""

from pathlib import Path

import datasets
import pytest
from huggingface_hub import CommitOperationAdd, HfApi, hf_hub_download
from huggingface_hub.errors import HfHubHTTPError

OF_DATA = {"repo_type": "dataset"}


@pytest.fixture
def api(hub):
    return HfApi()


def commit(api, *files):
    operations = [CommitOperationAdd(*file) for file in files]
    return api.create_commit("me/data", operations, commit_message="files", **OF_DATA)


def rows(n):
    return datasets.Dataset.from_dict({"id": [str(i) for i in range(n)], "x": list(range(n))})


@pytest.mark.parametrize(
    ("fault", "waits"),
    [
        ({"path": "/preupload/", "status": 429, "retry_after": 3}, [4.0]),
        ({"path": "/preupload/", "status": 429, "headers": {"RateLimit": '"api";r=0;t=5'}}, [6.0]),
        ({"path": "/preupload/", "kind": "reset"}, [1]),
        ({"path": "objects/batch", "status": 503, "times": 2}, [1, 2]),
        ({"path": "^/lfs/", "method": "PUT", "status": 500}, [1]),
        ({"path": "^/lfs/", "method": "PUT", "kind": "cut"}, [1]),
        ({"path": "^/lfs-verify/", "kind": "lost"}, [1]),
    ],
    ids=str,
)
def test_what_the_client_tries_again_by_itself(hub, api, fault, waits):
    hub.repo("me/data")
    hub.fail(**{"method": "POST"} | fault)
    commit(api, ("a.parquet", b"1" * 300_000))
    assert hub.waits == waits and hub.commits("me/data") == ["files"]
    assert hub.files("me/data")["a.parquet"] == b"1" * 300_000


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"path": "/commit/", "status": 401}, "HfHubHTTPError"),
        ({"path": "/commit/", "status": 403}, "HfHubHTTPError"),
        ({"path": "/commit/", "status": 409}, "HfHubHTTPError"),
        ({"path": "/commit/", "status": 412}, "HfHubHTTPError"),
        ({"path": "/commit/", "status": 429, "retry_after": 3}, "HfHubHTTPError"),
        ({"path": "/commit/", "status": 503}, "HfHubHTTPError"),
        ({"path": "/commit/", "kind": "reset"}, "ReadError"),
        ({"path": "/validate-yaml", "kind": "html", "status": 503}, "JSONDecodeError"),
        ({"path": "/preupload/", "kind": "html", "status": 200}, "JSONDecodeError"),
        ({"path": "^/lfs/", "method": "PUT", "status": 503, "times": 6}, "RuntimeError"),
    ],
    ids=str,
)
def test_what_is_raised_leaves_nothing_and_the_next_call_does_it(hub, api, fault, error):
    hub.repo("me/data")
    hub.fail(**{"method": "POST"} | fault)
    files = [("README.md", b"---\nlicense: mit\n---\n"), ("a.parquet", b"1")]
    with pytest.raises(Exception, match=".") as caught:
        commit(api, *files)
    assert type(caught.value).__name__ == error and hub.commits("me/data") == []
    if error == "HfHubHTTPError":
        assert caught.value.response.headers.get("Retry-After") == (None if fault["status"] != 429 else "3")
    stored = hub.stored("me/data")
    hub.log.clear()
    commit(api, *files)
    assert hub.commits("me/data") == ["files"] and not stored & set(hub.sent())


def test_a_lost_reply_is_an_error_although_the_commit_is_there(hub, api):
    hub.repo("me/data")
    hub.fail("POST", "/commit/", kind="lost")
    with pytest.raises(Exception, match="reset by peer") as caught:
        commit(api, ("a", b"1"))
    assert type(caught.value).__name__ == "ReadError" and hub.commits("me/data") == ["files"]
    assert commit(api, ("a", b"1")).oid == hub.head("me/data") and hub.commits("me/data") == ["files"]


def test_a_token_that_ends_in_the_middle(hub):
    hub.fail("POST", "/preupload/", kind="meanwhile", after=2, run=lambda: hub.revoke(hub.me))
    with pytest.raises(HfHubHTTPError, match="Invalid credentials"):
        rows(30).push_to_hub("me/data", num_shards=3)
    assert hub.commits("me/data") == [] and len(hub.stored("me/data")) == 2


@pytest.mark.parametrize("kind", ["cut", "short", "corrupt"])
def test_a_download_that_is_cut_or_short_is_noticed_and_a_wrong_byte_is_not(hub, kind):
    hub.repo("me/data", files={"a.parquet": b"blob" * 1000})
    hub.fail("GET", "^/blob/", kind=kind, times=6)
    if kind == "corrupt":
        assert Path(hf_hub_download("me/data", "a.parquet", **OF_DATA)).read_bytes() == b"blob" * 999 + b"bloc"
    else:
        with pytest.raises(Exception, match="incomplete|Consistency|without sending complete"):
            hf_hub_download("me/data", "a.parquet", **OF_DATA)


def test_a_slow_answer_is_given_up_and_asked_for_again(hub):
    hub.repo("me/data", files={"a.txt": b"text"})
    hub.fail("HEAD", "a.txt", kind="slow")
    hub.fail("GET", "/api/datasets/", kind="slow")
    assert Path(hf_hub_download("me/data", "a.txt", etag_timeout=0.05, **OF_DATA)).read_text() == "text"
    assert hub.count("HEAD", "a.txt") == 1
    with pytest.raises(Exception, match="timed out"):
        HfApi().repo_info("me/data", timeout=0.05, **OF_DATA)
    hub.released.set()
    assert HfApi().repo_info("me/data", **OF_DATA).sha == hub.head("me/data")
