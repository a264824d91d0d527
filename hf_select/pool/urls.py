"""Fetching pictures that a pool names by URL: only when asked, only public https, with limits, and each one once."""

from __future__ import annotations

import hashlib
import ipaddress
import socket
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from hf_select.files import replacing
from hf_select.pool.pixels import ImageProblem, quoted

MAX_BYTES = 64_000_000
TIMEOUT = 20.0
MAX_REDIRECTS = 3
_CHUNK = 1 << 16


def cache_dir() -> Path:
    """Where fetched pictures are kept: `hf_select/urls` in the cache folder of datasets."""
    from datasets.config import HF_DATASETS_CACHE

    return Path(HF_DATASETS_CACHE) / "hf_select" / "urls"


def refuse_unsafe(url: str) -> None:
    """Refuse a URL that isn't public https: other schemes, passwords, private and loopback addresses.

    Raises:
        ImageProblem: With status "url_refused".
    """
    parts = urlsplit(url)
    if parts.scheme != "https":
        raise ImageProblem("url_refused", f"image {quoted(url)} is no https URL: only those are fetched")
    if parts.username or parts.password:
        raise ImageProblem("url_refused", f"the URL of an image on {parts.hostname} holds a password: none is sent")
    try:
        found = socket.getaddrinfo(parts.hostname, parts.port or 443, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ImageProblem("image_missing", f"image {quoted(url)} can't be fetched: {error}") from error
    for *_, address in found:
        if not ipaddress.ip_address(address[0].split("%")[0]).is_global:
            raise ImageProblem("url_refused", f"image {quoted(url)} is on a private address: only public ones are read")


def fetch(url: str, *, check: Callable[[str], None] = refuse_unsafe) -> bytes:
    """Return the bytes behind `url`, from the cache if they were fetched before.

    No token and no cookie is sent. At most `MAX_REDIRECTS` redirects are followed, each checked like the URL itself;
    at most `MAX_BYTES` are read, and a server that is silent for `TIMEOUT` seconds is left.

    Args:
        url: The picture's address.
        check: Raises for an address that must not be asked.

    Raises:
        ImageProblem: "url_refused", "image_missing" (the server has no such file or does not answer) or
            "image_too_large".
    """
    kept = cache_dir() / hashlib.blake2b(url.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    if kept.is_file():
        return kept.read_bytes()
    data = _ask(url, check)
    with replacing(kept) as part:
        part.write_bytes(data)
    return data


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        """Follow nothing: `_ask` checks each address first."""


def _ask(url: str, check: Callable[[str], None]) -> bytes:
    opener = urllib.request.build_opener(_NoRedirect, urllib.request.ProxyHandler({}))
    address = url
    for _ in range(MAX_REDIRECTS + 1):
        check(address)
        request = urllib.request.Request(address, headers={"User-Agent": "hf_select", "Accept": "image/*"})
        try:
            with opener.open(request, timeout=TIMEOUT) as answer:
                return _read(answer, url)
        except urllib.error.HTTPError as error:
            target = error.headers.get("Location")
            if error.code not in (301, 302, 303, 307, 308) or not target:
                raise ImageProblem("image_missing", f"image {quoted(url)}: the server says {error.code}") from error
            address = urljoin(address, target)
        except (OSError, ValueError) as error:
            raise ImageProblem("image_missing", f"image {quoted(url)} can't be fetched: {error}") from error
    raise ImageProblem("image_missing", f"image {quoted(url)} is redirected more than {MAX_REDIRECTS} times")


def _read(answer: Any, url: str) -> bytes:
    data = bytearray()
    while chunk := answer.read(_CHUNK):
        data += chunk
        if len(data) > MAX_BYTES:
            raise ImageProblem("image_too_large", f"image {quoted(url)} is larger than {MAX_BYTES:,} bytes")
    return bytes(data)
