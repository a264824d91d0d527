"""What the Hub's errors become."""

import json

import httpx2
import pytest
from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError, OfflineModeIsEnabled

from hf_select.errors import HFSelectError
from hf_select.hub.trouble import TRIES, retrying, trouble_of


def chained(error, cause):
    try:
        raise error from cause
    except type(error) as caught:
        return caught


@pytest.mark.parametrize(
    ("error", "words", "again"),
    [
        (
            ConnectionError("Network error: HTTP status client error (404 Not Found) xet-write-token"),
            "HF_HUB_DISABLE_XET=1",
            False,
        ),
        (ConnectionError("xet-write-token: HTTP status client error (401 Unauthorized)"), "hf auth login", False),
        (ConnectionError("xet: Server error: 503"), "not well", True),
        (ConnectionResetError("reset"), "connection", True),
        (OfflineModeIsEnabled("offline"), "HF_HUB_OFFLINE is set", False),
        (LocalTokenNotFoundError("none"), "no token is stored", False),
        (json.JSONDecodeError("x", "<html>", 0), "else than JSON", True),
        (chained(RuntimeError("Error while uploading"), ConnectionError("cut")), "", True),
    ],
)
def test_errors_of_all_layers_are_explained(error, words, again):
    trouble = trouble_of(error, "me/x")
    if words:
        assert words in trouble.sentence and trouble.again is again


@pytest.mark.parametrize("error", [ValueError("bug"), KeyError("bug"), ZeroDivisionError()])
def test_our_own_bugs_are_not_explained_away(error):
    assert trouble_of(error, "me/x") is None

    def call():
        raise error

    with pytest.raises(type(error)):
        retrying(call, "me/x", sleep=lambda seconds: None)


def test_waits_grow_and_end():
    waits = []

    def call():
        raise ConnectionResetError("reset")

    with pytest.raises(HFSelectError, match=f"happened {TRIES} times"):
        retrying(call, "me/x", sleep=waits.append)
    assert len(waits) == TRIES - 1
    assert all(2**i <= wait <= 2**i + 1 for i, wait in enumerate(waits))


def test_a_known_error_is_not_wrapped_twice():
    def call():
        raise HFSelectError("already said.")

    with pytest.raises(HFSelectError, match="^already said.$"):
        retrying(call, "me/x", sleep=lambda seconds: None)


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        ({"ratelimit": '"api";r=0;t=55'}, 56.0),
        ({"ratelimit": '"api";r=12;t=55'}, None),
        ({"ratelimit": "odd"}, None),
        ({}, None),
    ],
)
def test_both_ways_to_ask_for_a_wait_are_read(headers, wait):
    request = httpx2.Request("GET", "http://hub")
    response = httpx2.Response(429, headers=headers, request=request)
    assert trouble_of(HfHubHTTPError("slow", response=response), "me/x").wait == wait


def test_what_is_kept_is_said_only_where_something_was_sent():
    def call():
        raise LocalTokenNotFoundError("none")

    with pytest.raises(HFSelectError, match="HF_TOKEN. Sent is kept.$"):
        retrying(call, "me/x", kept="Sent is kept.")
    with pytest.raises(HFSelectError, match="HF_TOKEN.$"):
        retrying(call, "me/x")
