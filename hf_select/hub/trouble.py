"""What the Hub's errors mean for a person, and which of them are worth another try."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from hf_select.errors import HFSelectError
from hf_select.text import plain

T = TypeVar("T")

TRIES = 5
LONGEST_WAIT = 310.0
"""Seconds; the Hub counts requests in windows of 300."""

_SAID = 300
_AGAIN = {408, 409, 412, 425, 429, 500, 502, 503, 504}


@dataclass(frozen=True)
class Trouble:
    """One error of the Hub.

    Attributes:
        sentence: What happened and what to do.
        again: Whether the same call may succeed a little later.
        wait: Seconds the server asked for, or None.
    """

    sentence: str
    again: bool
    wait: float | None = None


def trouble_of(error: BaseException, repo_id: str) -> Trouble | None:
    """Explain an error of huggingface_hub, of its HTTP library or of its uploads; None for anything else."""
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError, OfflineModeIsEnabled

    if isinstance(error, LocalTokenNotFoundError):
        return Trouble("no token is stored here: run hf auth login, or set HF_TOKEN.", False)
    if isinstance(error, OfflineModeIsEnabled):
        return Trouble("HF_HUB_OFFLINE is set, so nothing is sent: unset it and run the same command.", False)
    refusal = next((one for one in _chain(error) if isinstance(one, HfHubHTTPError)), None)
    if refusal is not None:
        response, said = refusal.response, plain(refusal.server_message or "")[:_SAID].strip().rstrip(".")
        return _status_trouble(response.status_code, response.headers, repo_id, said)
    text = " ".join(str(one) for one in _chain(error))
    if "xet" in text.lower():
        code = next((code for code in (401, 403, 404) if re.search(rf"\b{code}\b", text)), None)
        if code == 404:
            return Trouble("this Hub has no Xet storage: set HF_HUB_DISABLE_XET=1 and run the same command.", False)
        return _status_trouble(code or 503, {}, repo_id, "")
    if isinstance(error, ValueError) and type(error).__name__ == "JSONDecodeError":
        return Trouble("the Hub answered with something else than JSON, a proxy's page perhaps.", True)
    if isinstance(error, ConnectionError) or _is_transport(error):
        return Trouble("the connection to the Hub broke.", True)
    return None


def retrying(
    call: Callable[[], T],
    repo_id: str,
    *,
    kept: str = "",
    note: Callable[[str], None] = lambda text: None,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """Return what `call` returns, trying again where that may help.

    Args:
        call: Must be safe to repeat.
        repo_id: The repository, for messages.
        kept: A sentence for the end of messages: what is there already.
        note: Called with one sentence before each wait.
        sleep: Waits for so many seconds.

    Raises:
        HFSelectError: One sentence, after `TRIES` tries or at once where another try can't help.
    """
    for attempt in range(1, TRIES + 1):
        try:
            return call()
        except HFSelectError:
            raise
        except Exception as error:  # noqa: BLE001 - huggingface_hub raises what its HTTP, JSON and Xet parts raise
            trouble = trouble_of(error, repo_id)
            if trouble is None:
                raise
            too_long = trouble.wait is not None and trouble.wait > LONGEST_WAIT
            if not trouble.again or too_long or attempt == TRIES:
                more = f" It happened {attempt} times; run the same command later." if trouble.again else ""
                more = f" Run the same command in {trouble.wait:.0f} s." if too_long else more
                raise HFSelectError(f"{repo_id}: {trouble.sentence}{more} {kept}".rstrip()) from error
            pause = trouble.wait if trouble.wait is not None else 2.0 ** (attempt - 1) + random.random()
            note(f"{trouble.sentence} Trying again in {pause:.0f} s")
            sleep(pause)
    raise AssertionError("unreachable")


def _status_trouble(status: int, headers: Mapping[str, str], repo_id: str, said: str) -> Trouble:
    owner, told = repo_id.split("/")[0], f" (the Hub says: {said})" if said else ""
    if status == 401:
        return Trouble("the token is missing, expired or revoked: run hf auth login and the same command again.", False)
    if status == 403:
        return Trouble(f"the token may not write to {owner}: use one with write access to it{told}.", False)
    if status == 404:
        return Trouble("there is no such repository or revision, or the token may not see it: check the name.", False)
    if status in (409, 412):
        return Trouble("somebody else has changed the repository meanwhile.", True)
    if status in _AGAIN:
        what = "asks to slow down" if status == 429 else f"is not well (HTTP {status})"
        return Trouble(f"the Hub {what}.", True, _asked_wait(headers))
    return Trouble(f"the Hub refuses this with HTTP {status}{told}.", False)


def _asked_wait(headers: Mapping[str, str]) -> float | None:
    """Seconds that a response asks to wait, by either of the Hub's headers."""
    from huggingface_hub.utils import parse_ratelimit_headers

    value = headers.get("retry-after", "").strip()
    if value.isdecimal():
        return float(value)
    limit = parse_ratelimit_headers(headers)
    return float(limit.reset_in_seconds) + 1 if limit is not None and limit.remaining == 0 else None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_transport(error: BaseException) -> bool:
    return any(type(one).__module__.split(".")[0].startswith(("httpx", "httpcore")) for one in _chain(error))
