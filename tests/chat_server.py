"""A loopback server that speaks OpenAI's chat completions, and misbehaves on request."""

from __future__ import annotations

import contextlib
import json
import threading
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

GOOD = json.dumps({"turns": [{"question": "What is it?", "answer": "A drawing."}]})


@dataclass
class Fault:
    """One reply that is not a good one: an HTTP status, a cut connection, silence, or other content."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    content: str | None = None
    body: bytes | None = None
    cut: bool = False
    hold: bool = False


class ChatServer:
    """Answers every request with `content`, after the faults that are queued; keeps what it was asked."""

    def __init__(self) -> None:
        self.content = GOOD
        self.requests: list[dict] = []
        self.keys: list[str | None] = []
        self.faults: deque[Fault] = deque()
        self.most_at_once = 0
        self.gate: threading.Barrier | None = None
        self.released = threading.Event()
        self._now = 0
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}/v1"

    @contextlib.contextmanager
    def running(self):
        chat = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):  # noqa: N802 - the name that http.server calls
                chat._answer(self)

            def log_message(self, *args):
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.released.set()
            self._http.shutdown()
            self._http.server_close()

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        asked = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        with self._lock:
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
            self.requests.append(asked)
            self.keys.append(handler.headers.get("Authorization"))
            fault = self.faults.popleft() if self.faults else Fault()
            gate = self.gate
        try:
            if gate is not None:
                with contextlib.suppress(threading.BrokenBarrierError):
                    gate.wait(10)
            self._reply(handler, fault)
        finally:
            with self._lock:
                self._now -= 1

    def _reply(self, handler: BaseHTTPRequestHandler, fault: Fault) -> None:
        if fault.hold:
            self.released.wait(30)
        if fault.hold or fault.cut:
            handler.close_connection = True
            handler.connection.close()
            return
        content = self.content if fault.content is None else fault.content
        usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content}}
        reply = {"id": "1", "created": 0, "model": "m", "system_fingerprint": "", "choices": [choice], "usage": usage}
        body = json.dumps(reply).encode() if fault.body is None else fault.body
        handler.send_response(fault.status)
        for name, value in {"Content-Type": "application/json", **fault.headers}.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)
