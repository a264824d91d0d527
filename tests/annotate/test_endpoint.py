"""The endpoint annotator through the real client, against a loopback server that also misbehaves."""

import base64
import io
import threading

import pytest
from chat_server import ChatServer, Fault
from dialogues import picture
from PIL import Image

from hf_select.annotate.annotator import Request
from hf_select.annotate.endpoint import KEY, EndpointAnnotator
from hf_select.annotate.pictures import data_uri
from hf_select.errors import HFSelectError, UsageError
from hf_select.pool.images import RowImage
from hf_select.pool.row import Row

SECRET = "sk-canary-4711"


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv(KEY, SECRET)
    monkeypatch.setenv("HF_TOKEN", "hf_canary")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    with ChatServer().running() as running:
        yield running


@pytest.fixture
def waits():
    return []


@pytest.fixture
def ask(server, waits):
    def ask(n=1, **settings):
        annotator = EndpointAnnotator(
            **{"model": "m", "base_url": server.url, "retries": 3, "sleep": waits.append, **settings}
        )
        requests = [Request(str(at), at, Row(images=(picture(),)), f"prompt {at}") for at in range(n)]
        return {request.address: said for request, said in annotator.ask(None, iter(requests))}

    return ask


def test_picture_and_prompt_arrive_and_tokens_are_counted(ask, server):
    said = ask()["0"]
    assert said.text == server.content and (said.tokens_in, said.tokens_out) == (100, 10)
    asked = server.requests[0]
    parts = asked["messages"][0]["content"]
    assert parts[0]["image_url"]["url"].startswith("data:image/png;base64,")
    assert parts[1]["text"] == "prompt 0"
    assert (asked["model"], asked["temperature"], asked["max_tokens"]) == ("m", 0.0, 512)


def test_a_server_by_url_gets_its_own_key_and_never_the_hubs_token(ask, server, monkeypatch):
    ask()
    monkeypatch.delenv(KEY)
    ask()
    assert server.keys == [f"Bearer {SECRET}", "Bearer no-key"]


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_may_pass_is_sent_again(ask, server, waits, status):
    server.faults.extend([Fault(status), Fault(status)])
    assert ask()["0"].text == server.content
    assert len(server.requests) == 3
    assert 0.5 <= waits[0] <= 1 <= waits[1] <= 2


def test_retry_after_is_honoured_but_not_without_end(ask, server, waits):
    server.faults.extend(
        [
            Fault(429, {"Retry-After": "7"}),
            Fault(429, {"Retry-After": "99999"}),
            Fault(503, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}),
        ]
    )
    ask()
    assert waits[:2] == [7.0, 120.0]
    assert 2 <= waits[2] <= 4


def test_a_cut_connection_and_a_silent_server_are_sent_again(ask, server, waits):
    server.faults.extend([Fault(cut=True), Fault(hold=True)])
    assert ask(timeout=0.5)["0"].text == server.content
    assert len(waits) == 2


@pytest.mark.parametrize(
    "body",
    [b"<html>proxy</html>", b"", b'{"choices": 3}', b'{"choices": []}', b'{"error": "overloaded"}', b"\xff{}"]
    + [b'{"choices": [{"message": {"content": %s}}]}' % content for content in (b"5", b'[{"text": "hi"}]')],
)
def test_a_reply_that_is_no_completion_is_sent_again_and_is_no_empty_answer(ask, server, body):
    server.faults.extend([Fault(body=body)] * 4)
    said = ask()["0"]
    assert (said.status, said.passing, len(server.requests)) == ("unanswered", True, 4)
    assert "4 times in a row" in said.reason
    server.faults.extend([Fault(body=body)] * 3)
    assert ask()["0"].text == server.content


@pytest.mark.parametrize(("status", "words"), [(401, KEY), (403, KEY), (402, "credit"), (404, "check its name")])
def test_what_can_not_pass_stops_at_once_with_what_to_do(ask, server, status, words):
    server.faults.append(Fault(status, body=b'{"error": "no"}'))
    with pytest.raises(HFSelectError, match=words) as caught:
        ask()
    assert len(server.requests) == 1
    assert SECRET not in str(caught.value) and "hf_canary" not in str(caught.value)


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_request_that_is_rejected_costs_its_own_row(ask, server, waits, status):
    server.faults.extend([Fault(status), Fault(status), Fault(), Fault(status), Fault(status), Fault(status)])
    said = ask(8, concurrency=1)
    assert [at for at, one in sorted(said.items()) if one.status == "rejected"] == ["0", "1", "3", "4", "5"]
    assert f"HTTP {status}" in said["0"].reason and not said["0"].passing
    assert waits == [] and len(server.requests) == 8


def test_an_endpoint_that_rejects_everything_stops_it_before_anything_is_kept(server, waits):
    server.faults.extend([Fault(400)] * 9)
    annotator = EndpointAnnotator(model="m", base_url=server.url, concurrency=1)
    requests = [Request(str(at), at, Row(images=(picture(),)), "p") for at in range(9)]
    got = []
    with pytest.raises(HFSelectError, match="takes pictures"):
        got.extend(annotator.ask(None, iter(requests)))
    assert got == [] and len(server.requests) == 3


def test_one_row_without_an_answer_is_passed_over_and_a_dead_endpoint_stops_it(ask, server):
    server.faults.extend([Fault()] + [Fault(500)] * 4)
    assert sorted(one.status for one in ask(4, concurrency=1).values()) == ["", "", "", "unanswered"]
    server.faults.extend([Fault()] + [Fault(500)] * 40)
    with pytest.raises(HFSelectError, match="HTTP status 500, 4 times in a row: check that the endpoint is up"):
        ask(9, concurrency=1)
    assert len(server.requests) == 7 + 1 + 3 * 4


def test_tokens_that_the_endpoint_does_not_count_are_estimated(ask, server):
    choice = '{"choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "12345"}}]'
    strange = [f'{{"prompt_tokens": {count}, "completion_tokens": 1}}' for count in ("-9", "1e999", '"many"', "[1]")]
    for usage in ("", *[f', "usage": {told}' for told in ("null", "{}", "7", *strange)]):
        server.faults.append(Fault(body=(choice + usage + "}").encode()))
        said = ask()["0"]
        assert (said.text, said.tokens_in, said.tokens_out) == ("12345", 1002, 2)


def test_what_a_content_filter_holds_back_is_refused(ask, server):
    body = b'{"choices": [{"index": 0, "finish_reason": "content_filter", "message": {"content": null}}]}'
    server.faults.append(Fault(body=body))
    assert ask()["0"].status == "refused"


def test_without_a_login_or_with_an_unknown_provider_nothing_is_tried_twice(ask, waits, monkeypatch):
    with pytest.raises(HFSelectError, match="nonsense"):
        ask(base_url=None, provider="nonsense", model="org/m")
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(HFSelectError, match="hf auth login"):
        ask(base_url=None, model="org/m")
    assert waits == []


def test_answers_under_way_are_handed_over_before_the_error(server, waits):
    server.gate = threading.Barrier(3)
    server.faults.append(Fault(401))
    annotator = EndpointAnnotator(model="m", base_url=server.url, concurrency=3, sleep=waits.append)
    requests = [Request(str(at), at, Row(images=(picture(),)), "p") for at in range(9)]
    got = []
    with pytest.raises(HFSelectError):
        for _, said in annotator.ask(None, iter(requests)):
            server.gate = None
            got.append(said)
    assert 2 <= len(got) <= 4
    assert len(server.requests) <= 6


def test_no_more_than_the_limit_are_under_way_and_that_many_are(ask, server):
    server.gate = threading.Barrier(4)
    assert len(ask(12, concurrency=4)) == 12
    assert server.most_at_once == 4


def test_offline_mode_is_said(ask, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(HFSelectError, match="HF_HUB_OFFLINE is set"):
        ask()


def test_an_empty_answer_and_a_refusal_come_as_they_are(ask, server):
    server.faults.extend([Fault(content=""), Fault(content="I'm sorry.")])
    assert {said.text for said in ask(2, concurrency=1).values()} == {"", "I'm sorry."}


def test_a_picture_that_can_not_be_read_costs_its_own_row(server, waits, tmp_path):
    annotator = EndpointAnnotator(model="m", base_url=server.url, sleep=waits.append)
    broken = RowImage.of(b"no picture")
    found = list(annotator.ask(None, iter([Request("a", 0, Row(images=(broken,)), "p")])))
    assert found[0][1].status == "image_unreadable"
    assert server.requests == []


def test_the_files_own_bytes_travel_and_other_formats_become_png(tmp_path):
    for kind in ("png", "jpeg", "webp", "bmp"):
        Image.new("RGB", (4, 4), "red").save(tmp_path / f"a.{kind}")
        head, _, data = data_uri(RowImage.of(str(tmp_path / f"a.{kind}"))).partition(",")
        own = base64.b64decode(data) == (tmp_path / f"a.{kind}").read_bytes()
        assert (head, own) == (f"data:image/{'png' if kind == 'bmp' else kind};base64", kind != "bmp")


def test_large_and_turned_pictures_are_written_anew(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20), "red").save(tmp_path / "turned.jpeg", exif=exif)
    Image.new("RGB", (40, 20), "red").save(tmp_path / "large.png")

    def sent(name, max_side):
        data = data_uri(RowImage.of(str(tmp_path / name)), max_side).partition(",")[2]
        return Image.open(io.BytesIO(base64.b64decode(data))).size

    assert sent("turned.jpeg", None) == (20, 40)
    assert [sent("large.png", side) for side in (None, 40, 10)] == [(40, 20), (40, 20), (10, 5)]


def test_the_identity_holds_what_decides_answers_and_no_key(server):
    one = EndpointAnnotator(model="m", base_url=server.url)
    other = EndpointAnnotator(model="m", base_url=server.url, concurrency=1, retries=0, timeout=1)
    assert one.identity() == other.identity() != EndpointAnnotator(model="n", base_url=server.url).identity()
    assert SECRET not in repr(one) + repr(one.identity())


@pytest.mark.parametrize(
    "settings",
    [{"concurrency": 0}, {"timeout": 0}, {"base_url": "ftp://x"}, {"max_side": 0}]
    + [{"base_url": f"http://{address}"} for address in ("user:key@host/v1", "host/v1?key=k", "host/v1#k")],
)
def test_bad_settings_are_refused(settings):
    with pytest.raises(UsageError):
        EndpointAnnotator(model="m", **settings)
