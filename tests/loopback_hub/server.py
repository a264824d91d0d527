"""The loopback Hub's HTTP side: what huggingface_hub 2.4 and datasets 5.2 ask, on two ports (files on the second)."""

from __future__ import annotations

import base64
import json
import re
import socket
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

from loopback_hub import api
from loopback_hub.store import Asked, Store


class Reply(Exception):  # noqa: N818 - an answer, not always an error
    """Ends the handling of a request with this answer."""

    def __init__(self, status=200, data=None, headers=None, body=None):
        super().__init__(status)
        self.status = status
        self.headers = dict(headers or {})
        self.body = body if body is not None else b"" if data is None else json.dumps(data).encode()
        if data is not None:
            self.headers.setdefault("Content-Type", "application/json")


def refused(status: int, code: str | None = None, message: str = "no") -> Reply:
    headers = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {})
    return Reply(status, {"error": message}, headers)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    store: Store

    def log_message(self, *args):
        pass

    def handle_request(self) -> None:
        split = urlsplit(self.path)
        self.route, self.query = split.path, {k: v[-1] for k, v in parse_qs(split.query).items()}
        self.body = self._read()
        fault = self.store.due(self.command, self.route)
        if fault is not None and fault.kind == "reset":
            self._drop(0)
            return
        if fault is not None and fault.kind == "status":
            reply = Reply(fault.status, headers=fault.headers, body=fault.body)
        else:
            try:
                with self.store.lock:
                    reply = api.answer(self)
            except Reply as made:
                reply = made
        if fault is not None and fault.kind == "lost":
            self._drop(reply.status)
            return
        self._send(reply, cut=fault is not None and fault.kind == "cut")

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_request  # noqa: N815

    @property
    def user(self):
        header = self.headers.get("Authorization", "")
        token = header.removeprefix("Bearer ")
        if header and token not in self.store.users:
            raise refused(401, message="Invalid credentials in Authorization header")
        return self.store.users.get(token)

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def json(self):
        return json.loads(self.body or b"{}")

    def _read(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _drop(self, status: int) -> None:
        self._note(status)
        self.close_connection = True
        # A reset instead of a polite end.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def _send(self, reply: Reply, cut: bool) -> None:
        self._note(reply.status)
        body = reply.body
        status, headers = reply.status, reply.headers
        span = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if span and status == 200 and "Accept-Ranges" in headers:
            start, stop = int(span[1]), int(span[2] or len(body) - 1)
            if start >= len(body):
                status, body = 416, b""
            else:
                headers["Content-Range"] = f"bytes {start}-{min(stop, len(body) - 1)}/{len(body)}"
                status, body = 206, body[start : stop + 1]
        self.send_response(status)
        for name, value in {"X-Request-Id": "1", **headers}.items():
            self.send_header(name, str(value))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[: len(body) // 2] if cut else body)
        if cut:
            self.close_connection = True

    def _note(self, status: int) -> None:
        with self.store.lock:
            self.store.log.append(Asked(self.command, unquote(self.route), status, len(self.body)))


class Server:
    """The two ports of one Hub."""

    def __init__(self, store: Store) -> None:
        handler = type("BoundHandler", (Handler,), {"store": store})
        self._ports = [ThreadingHTTPServer(("127.0.0.1", 0), handler) for _ in range(2)]
        for port in self._ports:
            port.daemon_threads = True
            port.files_url = f"http://127.0.0.1:{self._ports[1].server_port}"
            threading.Thread(target=port.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._ports[0].server_port}"

    def stop(self) -> None:
        for port in self._ports:
            port.shutdown()
            port.server_close()


def decoded(text: str) -> bytes:
    return base64.b64decode(text)
