"""The loopback Hub's HTTP side, on two ports: files are on the second, as on a CDN, where no token may arrive."""

from __future__ import annotations

import json
import re
import socket
import struct
import sys
import threading
import traceback
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, unquote, urlsplit

from loopback_hub import api
from loopback_hub.faults import Asked, Fault
from loopback_hub.replies import Reply, refused


class Handler(BaseHTTPRequestHandler):
    """One connection; `hub` is set by `Server`."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def handle_request(self) -> None:
        self.__dict__.pop("user", None)
        # A proxy's client gives the whole address; what isn't for this Hub is refused.
        split = urlsplit(self.path if self.command != "CONNECT" else f"//{self.path}")
        self.route, self.host = split.path, split.netloc
        self.query = dict(parse_qsl(split.query, keep_blank_values=True))
        fault = self.hub.due(self.command, unquote(self.route))
        kind = None if fault is None else fault.kind
        uploads = bool(self.headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in self.headers)
        if kind == "cut" and uploads:
            self.rfile.read1(1)
            return self._drop(0)
        self.body = self._read()
        if kind == "reset":
            return self._drop(0)
        if kind == "slow":
            self.hub.released.wait()
        if kind == "meanwhile":
            fault.run()
        reply = fault.reply if kind in ("status", "html") else self._answer()
        if kind == "lost":
            return self._drop(reply.status)
        return self._send(reply, fault)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_CONNECT = handle_request  # noqa: N815 - http.server's names

    @cached_property
    def user(self):
        """Who asks; a token that the Hub doesn't know is refused."""
        header = self.headers.get("Authorization", "")
        known = self.hub.users.get(header.removeprefix("Bearer "))
        if header and known is None:
            raise refused(401, message="Invalid credentials in Authorization header")
        return known

    @property
    def base(self) -> str:
        return self.hub.url

    def json(self) -> dict:
        return json.loads(self.body or b"{}")

    def _answer(self) -> Reply:
        try:
            with self.hub.lock:
                return api.answer(self)
        except Reply as made:
            return made

    def _read(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _drop(self, status: int) -> None:
        """End the connection with a reset, not politely."""
        self._note(status)
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def _send(self, reply: Reply, fault: Fault | None) -> None:
        status, headers, body = reply.status, reply.headers, reply.body
        if status == 200 and "Accept-Ranges" in headers and (asked := self.headers.get("Range")):
            status, body, headers["Content-Range"] = span(asked, body)
        kind = None if fault is None else fault.kind
        if kind == "corrupt":
            body = body[:-1] + bytes([body[-1] ^ 1])
        elif kind == "short":
            body = body[:-1]
        self._note(status)
        self.send_response(status)
        for name, value in {"X-Request-Id": f"r{len(self.hub.log)}", **headers}.items():
            self.send_header(name, str(value))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[: len(body) // 2] if kind == "cut" else body)
        if kind == "cut":
            self.close_connection = True

    def _note(self, status: int) -> None:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        known = self.hub.users.get(token)
        asked = Asked(
            self.command,
            self.host + unquote(self.route),
            status,
            int(self.headers.get("Content-Length") or 0),
            self.query,
            None if known is None else known.name,
            bool(token),
            self.server.server_port == self.hub.ports[1],
        )
        with self.hub.lock:
            self.hub.log.append(asked)


def span(asked: str, body: bytes) -> tuple[int, bytes, str]:
    """Cut a body to a Range header: the status, the part, and Content-Range."""
    first, last = re.fullmatch(r"bytes=(\d*)-(\d*)", asked).groups()
    start = int(first) if first else max(0, len(body) - int(last))
    stop = min(int(last) if first and last else len(body) - 1, len(body) - 1)
    if start >= len(body):
        return 416, b"", f"bytes */{len(body)}"
    return 206, body[start : stop + 1], f"bytes {start}-{stop}/{len(body)}"


class Port(ThreadingHTTPServer):
    """One port, which ends its open connections when it stops."""

    daemon_threads = True

    def __init__(self, handler: type[Handler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.crashes: list[str] = []
        self._open: set[socket.socket] = set()
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def process_request(self, request, client_address):
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request):
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request, client_address):
        """A client that went away is no news; anything else is a mistake of this Hub."""
        if not isinstance(sys.exception(), ConnectionError):
            self.crashes.append(traceback.format_exc())

    def stop(self) -> None:
        self.shutdown()
        self.server_close()
        for connection in list(self._open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue


class Server:
    """The two ports of one Hub."""

    def __init__(self, hub) -> None:
        handler = type("BoundHandler", (Handler,), {"hub": hub})
        self._ports = [Port(handler), Port(handler)]

    @property
    def numbers(self) -> tuple[int, int]:
        return tuple(port.server_port for port in self._ports)

    def stop(self) -> None:
        for port in self._ports:
            port.stop()
        crashes = [crash for port in self._ports for crash in port.crashes]
        assert not crashes, "the loopback Hub crashed:\n" + "\n".join(crashes)
