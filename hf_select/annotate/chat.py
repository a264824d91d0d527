"""One question to a chat endpoint: sent again while its trouble may pass, and what came back in our words."""

from __future__ import annotations

import importlib
import json
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hf_select.annotate.annotator import Said
from hf_select.annotate.cost import IMAGE_TOKENS, text_tokens
from hf_select.errors import HFSelectError

if TYPE_CHECKING:
    from huggingface_hub import InferenceClient

UNANSWERED = "unanswered"
"""Status of a request that met only passing trouble; asking again later may help."""
REJECTED = "rejected"
"""Status of a request whose content the endpoint does not take: too large a picture, a filter."""

_AGAIN = {408, 409, 425, 429, 500, 502, 503, 504, 529}
_NOT_THIS_ONE = {400, 413, 415, 422}
_LONGEST_WAIT = 120.0
_SHOWN = 200


@dataclass(frozen=True)
class Chat:
    """How questions are put to one endpoint.

    Attributes:
        client: The client, with its key inside.
        model: The model's name at the endpoint.
        max_tokens: Longest answer.
        temperature: 0 for the model's most likely answer.
        retries: How often a question is sent again.
        sleep: Waits for so many seconds; None waits until `stop` at most.
        stop: Set when no question is to be sent again.
        key_advice: What to do about a key that is refused.
    """

    client: InferenceClient
    model: str
    max_tokens: int
    temperature: float
    retries: int
    sleep: Callable[[float], None] | None
    stop: threading.Event
    key_advice: str

    def ask(self, pictures: list[str], prompt: str) -> Said:
        """Ask about `pictures` (data URIs); never raises for what concerns this question alone.

        Raises:
            HFSelectError: No question can be answered: the key, the model or the address is wrong.
        """
        content = [{"type": "image_url", "image_url": {"url": uri}} for uri in pictures]
        messages = [{"role": "user", "content": [*content, {"type": "text", "text": prompt}]}]
        for attempt in range(self.retries + 1):
            try:
                said = self._once(messages)
            except _Passing as trouble:
                reason = f"the annotator {self.model} gave {trouble}, {attempt + 1} times in a row"
                if attempt == self.retries or self.stop.is_set():
                    break
                # Chance keeps many requests that failed together from coming back together.
                pause = min(_LONGEST_WAIT, 2.0**attempt) * (0.5 + random.random() / 2)
                self._wait(pause if trouble.asked_wait is None else trouble.asked_wait)
                if self.stop.is_set():
                    break
            else:
                return said if said.status == REJECTED else _paid(said, prompt, len(pictures))
        return Said(status=UNANSWERED, reason=reason, passing=True)

    def _wait(self, seconds: float) -> None:
        if self.sleep is None:
            self.stop.wait(seconds)
        else:
            self.sleep(seconds)

    def _once(self, messages: list[dict[str, Any]]) -> Said:
        from huggingface_hub.errors import HfHubHTTPError, InferenceTimeoutError, OfflineModeIsEnabled
        from huggingface_hub.utils import get_session

        try:
            answer = self.client.chat_completion(
                messages, model=self.model, max_tokens=self.max_tokens, temperature=self.temperature
            )
        except InferenceTimeoutError:
            raise _Passing(f"no answer within {self.client.timeout:g} seconds") from None
        except HfHubHTTPError as error:
            return self._refused(error.response.status_code, error.response.headers.get("retry-after"))
        except OfflineModeIsEnabled:
            raise HFSelectError(
                "HF_HUB_OFFLINE is set, and huggingface_hub then sends no request, to no server: unset it."
            ) from None
        except _transport_errors(get_session()) as error:
            raise _Passing(type(error).__name__) from None
        except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
            raise _Passing(f"a reply that is no chat completion ({type(error).__name__})") from None
        except ValueError as error:
            # What huggingface_hub refuses to send: an unknown provider, a model that the provider does not serve.
            raise HFSelectError(f"{self.model} can't be asked: {str(error).splitlines()[0][:_SHOWN]}") from None
        try:
            return _read(answer)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):
            raise _Passing("a reply without an answer") from None

    def _refused(self, status: int, retry_after: str | None) -> Said:
        if status in _AGAIN:
            raise _Passing(f"HTTP status {status}", _seconds(retry_after)) from None
        if status in _NOT_THIS_ONE:
            return Said(status=REJECTED, reason=f"the endpoint does not take this request (HTTP {status})")
        advice = {
            401: self.key_advice,
            403: f"{self.key_advice}, and check that it may use this model",
            402: "add credit to the account, or choose another provider",
            404: "check its name and the URL",
        }.get(status, "look up what the endpoint means by this status")
        raise HFSelectError(f"{self.model} can't be asked (HTTP {status}): {advice}.") from None


class _Passing(Exception):
    """Trouble that may be gone a little later."""

    def __init__(self, trouble: str, asked_wait: float | None = None) -> None:
        super().__init__(trouble)
        self.asked_wait = asked_wait


def _read(answer: Any) -> Said:
    choice = answer.choices[0]
    text = choice.message.content or ""
    if not isinstance(text, str):
        raise TypeError("content is no text")
    paid = _counted(answer.usage)
    filtered = choice.finish_reason == "content_filter" and not text
    status, reason = ("refused", "the endpoint's content filter held the answer back") if filtered else ("", "")
    return Said(text, status=status, reason=reason, tokens_in=paid[0], tokens_out=paid[1])


def _counted(usage: Any) -> tuple[int, int]:
    """Tokens in and out as the endpoint counts them; (0, 0) where it counts none, or none that can be."""
    try:
        paid = int(usage.prompt_tokens or 0), int(usage.completion_tokens or 0)
    except (AttributeError, OverflowError, TypeError, ValueError):
        return 0, 0
    return paid if min(paid) >= 0 else (0, 0)


def _paid(said: Said, prompt: str, pictures: int) -> Said:
    """The answer with its tokens estimated where the endpoint counts none: a limit on the cost needs them."""
    if said.tokens_in or said.tokens_out:
        return said
    guess = text_tokens(prompt) + pictures * IMAGE_TOKENS
    return Said(said.text, (), said.status, said.reason, guess, text_tokens(said.text or ""))


def _seconds(header: str | None) -> float | None:
    """Seconds of a Retry-After header that holds a number, 120 at most; None for none or a date."""
    try:
        return None if header is None else min(_LONGEST_WAIT, max(0.0, float(header)))
    except ValueError:
        return None


def _transport_errors(session: Any) -> tuple[type[Exception], ...]:
    """The errors of a broken connection, of the HTTP library that this huggingface_hub brings."""
    library = importlib.import_module(type(session).__module__.split(".")[0])
    return (library.TransportError, ConnectionError)
