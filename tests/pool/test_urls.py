"""Pictures by URL: refused unless asked, then only public https, within limits, each fetched once."""

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pictures
import pytest

from hf_select.pool import urls
from hf_select.pool.images import ImageProblem, RowImage
from hf_select.pool.view import PoolView

TURNS = [{"from": "human", "value": "<image>\nColour?"}, {"from": "gpt", "value": "Red."}]
ROW = {"image": ["https://example.com/red.png"], "conversations": [TURNS]}


@pytest.fixture
def asked(monkeypatch):
    seen = []

    def fetch(url):
        seen.append(url)
        return pictures.plain((200, 30, 40))

    monkeypatch.setattr("hf_select.pool.images.fetch", fetch)
    return seen


def test_urls_are_refused_unless_asked(asked):
    row = PoolView().rows(ROW)[0]
    assert (row.status, asked) == ("url_refused", [])
    assert "allow URLs" in row.reason


def test_asked_for_they_are_fetched_when_they_are_read(asked):
    row = PoolView(allow_urls=True).rows(ROW)[0]
    assert (row.status, asked) == ("ok", [])
    assert row.images[0].open().getpixel((0, 0)) == (200, 30, 40)
    assert asked == ["https://example.com/red.png"]


def test_urls_in_typed_parts_too(asked):
    part = {"type": "image_url", "image_url": {"url": "https://example.com/red.png"}}
    content = [{"type": "text", "text": "Colour?"}, part]
    messages = [{"role": "user", "content": content}, {"role": "assistant", "content": "Red."}]
    assert PoolView().rows({"messages": [messages]})[0].status == "url_refused"
    assert PoolView(allow_urls=True).rows({"messages": [messages]})[0].status == "ok"


@pytest.mark.parametrize(
    "url",
    ["http://example.com/a.png", "ftp://example.com/a.png", "https://me:secret@example.com/a.png"]
    + [f"https://{host}/a.png" for host in ("127.0.0.1", "10.0.0.1", "[::1]", "169.254.169.254", "0.0.0.0")],
)
def test_only_public_https_addresses_are_asked(url, monkeypatch):
    answer = lambda host, port, **kwargs: [(None, None, 6, "", (host, port))]  # noqa: E731 - the literal is its address
    monkeypatch.setattr(socket, "getaddrinfo", answer)
    with pytest.raises(ImageProblem) as caught:
        urls.refuse_unsafe(url)
    assert caught.value.status == "url_refused"
    assert "secret" not in caught.value.reason


def test_a_public_name_that_leads_to_a_private_address_is_refused(monkeypatch):
    answer = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.168.0.7", 443))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: answer)
    with pytest.raises(ImageProblem) as caught:
        urls.refuse_unsafe("https://example.com/a.png")
    assert caught.value.status == "url_refused"


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setattr(urls, "cache_dir", lambda: tmp_path / "cache")
    hits = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            hits.append((self.path, dict(self.headers)))
            if self.path == "/away":
                self.send_response(302)
                self.send_header("Location", "/red.png")
                self.end_headers()
            elif self.path == "/round":
                self.send_response(302)
                self.send_header("Location", "/round")
                self.end_headers()
            elif self.path == "/red.png":
                self.send_response(200)
                self.end_headers()
                self.wfile.write(pictures.plain((200, 30, 40)))
            else:
                self.send_error(404)

        def log_message(self, *args):
            pass

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{running.server_port}", hits
    running.shutdown()
    running.server_close()


def anything(url):
    return None


def test_a_picture_is_fetched_once_and_nothing_secret_is_sent(server, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_" + "x" * 30)
    base, hits = server
    first = urls.fetch(f"{base}/away", check=anything)
    assert urls.fetch(f"{base}/away", check=anything) == first == pictures.plain((200, 30, 40))
    assert [path for path, _ in hits] == ["/away", "/red.png"]
    assert not any({"Authorization", "Cookie"} & set(headers) for _, headers in hits)


def test_every_redirect_is_checked_and_they_end(server):
    base, hits = server

    def only_the_first(url):
        if url.endswith("red.png"):
            raise ImageProblem("url_refused", "not this one")

    with pytest.raises(ImageProblem) as caught:
        urls.fetch(f"{base}/away", check=only_the_first)
    assert (caught.value.status, [path for path, _ in hits]) == ("url_refused", ["/away"])
    with pytest.raises(ImageProblem, match="redirected more than"):
        urls.fetch(f"{base}/round", check=anything)


def test_what_is_not_there_or_too_large_has_a_status(server, monkeypatch):
    base, _ = server
    with pytest.raises(ImageProblem) as caught:
        urls.fetch(f"{base}/gone.png", check=anything)
    assert caught.value.status == "image_missing" and "404" in caught.value.reason
    monkeypatch.setattr(urls, "MAX_BYTES", 10)
    with pytest.raises(ImageProblem) as caught:
        urls.fetch(f"{base}/red.png", check=anything)
    assert caught.value.status == "image_too_large"


def test_a_reference_that_is_no_url_is_left_alone():
    image = RowImage.of("img/red.png")
    assert image.with_urls() is image
