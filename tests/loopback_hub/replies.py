"""Answers of the loopback Hub, and the error headers that the client reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


class Reply(Exception):  # noqa: N818 - an answer, not always an error
    """Ends the handling of a request with this answer; `data` is sent as JSON, `body` as it is."""

    def __init__(
        self, status: int = 200, data: Any = None, headers: Mapping[str, Any] | None = None, body: bytes | None = None
    ) -> None:
        super().__init__(status)
        self.status = status
        self.headers = dict(headers or {})
        self.body = body if body is not None else b"" if data is None else json.dumps(data).encode()
        if data is not None:
            self.headers.setdefault("Content-Type", "application/json; charset=utf-8")


def ok(data: Any = None, **headers: Any) -> Reply:
    return Reply(200, {} if data is None else data, headers)


def refused(status: int, code: str | None = None, message: str = "no", **headers: Any) -> Reply:
    """Return an error as the Hub says it: a message, and a code where the client makes an own exception of it."""
    headers = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {}) | headers
    return Reply(status, {"error": message}, headers)
