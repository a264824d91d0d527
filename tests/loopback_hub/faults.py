"""Faults to come, and the log of what was asked."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from loopback_hub.replies import Reply, refused

PROXY_PAGE = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>The proxy wants a word.</body></html>"
KINDS = ("status", "html", "reset", "lost", "cut", "short", "corrupt", "slow", "meanwhile")


@dataclass
class Fault:
    """What happens to requests that fit, after the first `after` of them and `times` times."""

    method: str
    path: re.Pattern
    kind: str
    times: int
    after: int
    reply: Reply
    run: Callable[[], object] | None

    def fits(self, method: str, path: str) -> bool:
        return self.times > 0 and method == self.method and self.path.search(path) is not None


@dataclass(frozen=True)
class Asked:
    """One request: `path` unquoted and without the query, `status` 0 where the connection ended without an answer."""

    method: str
    path: str
    status: int
    size: int
    query: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    token_sent: bool = False
    files_port: bool = False


class Faults:
    """The part of the Hub that misbehaves on request and remembers."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.log: list[Asked] = []
        self.released = threading.Event()
        self._due = threading.Lock()

    def fail(
        self,
        method: str,
        path: str,
        *,
        kind: str = "status",
        status: int = 503,
        times: int = 1,
        after: int = 0,
        message: str = "injected",
        code: str | None = None,
        retry_after: int | str | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        run: Callable[[], object] | None = None,
    ) -> None:
        """Make requests fail: `method` and the regular expression `path`, searched in the unquoted path, must fit.

        Args:
            method: HTTP method.
            path: Regular expression.
            kind: "status" answers `status` with `message`, `code`, `retry_after`, `headers`, `body`; "html" answers
                `status` with a proxy's page; "reset" cuts before anything is done; "lost" does what was asked and cuts
                instead of answering; "cut" ends the connection in the middle of an upload (nothing is stored) or of an
                answer; "short" leaves the answer's last byte out, "corrupt" flips one; "slow" answers only after
                `hub.released.set()`; "meanwhile" calls `run` and then answers as always.
            status: HTTP status of "status" and "html".
            times: How many requests fail; later ones are answered as always.
            after: How many fitting requests are answered as always first.
            message: Text of the error.
            code: X-Error-Code.
            retry_after: Value of Retry-After.
            headers: More headers.
            body: Body instead of the JSON of `message`.
            run: What happens meanwhile.
        """
        assert kind in KINDS, kind
        if kind == "html":
            reply = Reply(status, headers={"Content-Type": "text/html"}, body=PROXY_PAGE)
        else:
            reply = refused(status, code, message)
        if body is not None:
            reply.body = body
        reply.headers |= dict(headers or {}) | ({} if retry_after is None else {"Retry-After": retry_after})
        self.faults.append(Fault(method, re.compile(path), kind, times, after, reply, run))

    def due(self, method: str, path: str) -> Fault | None:
        """Take the fault of a request, if one is to come."""
        with self._due:
            for fault in self.faults:
                if not fault.fits(method, path):
                    continue
                if fault.after > 0:
                    fault.after -= 1
                    continue
                fault.times -= 1
                return fault
        return None

    def asked(self, method: str, path: str, status: int | None = None) -> list[Asked]:
        """Return the requests so far that fit a method, a regular expression of the path, and a status."""
        wanted = re.compile(path)
        return [
            one
            for one in list(self.log)
            if one.method == method and wanted.search(one.path) and status in (None, one.status)
        ]

    def count(self, method: str, path: str, status: int | None = None) -> int:
        """Return how many requests so far fit."""
        return len(self.asked(method, path, status))

    def sent(self) -> list[str]:
        """Return the sha256 of every large file that a client sent, whether it arrived or not, once a request."""
        return [re.search("[0-9a-f]{64}", one.path)[0] for one in self.asked("PUT", "^/lfs/")]
