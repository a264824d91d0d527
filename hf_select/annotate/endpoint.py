"""Instructions from a chat endpoint: Inference Providers, or any server that speaks OpenAI's chat completions."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hf_select.annotate.annotator import Annotator, Request, Said
from hf_select.annotate.chat import REJECTED, UNANSWERED, Chat
from hf_select.annotate.pictures import data_uri
from hf_select.annotate.threads import in_threads
from hf_select.errors import HFSelectError, UsageError
from hf_select.pool.images import ImageProblem

if TYPE_CHECKING:
    from datasets import Dataset
    from huggingface_hub import InferenceClient

KEY = "HF_SELECT_ANNOTATOR_KEY"
"""Environment variable with the key of a server given by its URL."""

_NO_KEY = "no-key"
_IN_A_ROW = 3
"""So many failures with no answer between them are the endpoint's, not the rows'."""


@dataclass(frozen=True, kw_only=True)
class EndpointAnnotator(Annotator):
    """Asks a chat endpoint through `huggingface_hub.InferenceClient`, several requests at a time.

    Pictures travel inside the request as data URIs: the file's own bytes for PNG, JPEG and WebP, else as PNG. Without a
    URL the request goes to Hugging Face's Inference Providers with the token of `hf auth login` or HF_TOKEN. A server
    given by its URL never gets that token: its key is read from HF_SELECT_ANNOTATOR_KEY. Neither is a field of this
    class, so none can be in an identity, a journal or a log.

    A request that meets 429, a server error, a timeout or a broken connection is sent again, `retries` times, after the
    seconds the server asks for in Retry-After or else 1, 2, 4, ... seconds with some chance in them, 120 at most. After
    that the row is "unanswered"; a request that the endpoint takes for wrong (HTTP 400, 413, 415, 422) makes its row
    "rejected". Three rows in a row that come to nothing stop the whole, rejected ones only before the first answer.
    Where the endpoint counts no tokens they are estimated, so that a limit on the cost holds.

    Attributes:
        model: The model's name at the endpoint.
        base_url: The server, such as http://localhost:8000/v1; None for Inference Providers.
        provider: An Inference Provider; None for the first of the user's order.
        max_tokens: Longest answer.
        temperature: 0 for the model's most likely answer.
        max_side: Larger pictures are made smaller, to so many pixels on the longest side; None sends them as they are.
        timeout: Seconds for one request.
        concurrency: Most requests under way.
        retries: How often a request is sent again.
        sleep: Waits for so many seconds; None waits in a way that an interrupt ends.
    """

    model: str
    base_url: str | None = None
    provider: str | None = None
    max_tokens: int = 512
    temperature: float = 0.0
    max_side: int | None = None
    timeout: float = 120.0
    concurrency: int = 8
    retries: int = 5
    sleep: Callable[[float], None] | None = None

    def __post_init__(self) -> None:
        if self.concurrency < 1 or self.retries < 0 or self.max_tokens < 1 or not self.timeout > 0:
            raise UsageError("concurrency and max_tokens are at least 1, retries at least 0, and timeout is above 0.")
        if self.base_url is not None and not self.base_url.startswith(("http://", "https://")):
            raise UsageError(f"{self.base_url!r} is no URL: give the server's, such as http://localhost:8000/v1.")
        if self.base_url is not None and {*"@?#"} & {*self.base_url}:
            raise UsageError(f"put the server's key into the environment variable {KEY}, not into its URL.")
        if self.max_side is not None and self.max_side < 1:
            raise UsageError(f"max_side is {self.max_side}; it is a number of pixels, at least 1.")

    def identity(self) -> dict[str, Any]:
        """What decides the answers: where, which model, and how it generates."""
        names = ("model", "base_url", "provider", "max_tokens", "temperature", "max_side")
        return {"annotator": "endpoint", **{name: getattr(self, name) for name in names}}

    def ask(self, pool: Dataset, requests: Iterable[Request]) -> Iterator[tuple[Request, Said]]:
        """Answer `requests`, at most `concurrency` at a time."""
        stop = threading.Event()
        chat = self._chat(stop)
        failed: list[tuple[Request, Said]] = []
        answered = False
        for request, said in in_threads(lambda request: self._say(chat, request), requests, self.concurrency, stop):
            if said.status == UNANSWERED or (said.status == REJECTED and not answered):
                failed.append((request, said))
                if len(failed) == _IN_A_ROW:
                    stop.set()
                continue
            if said.text is not None and len(failed) < _IN_A_ROW:
                answered = True
                yield from failed
                failed.clear()
            yield request, said
        if len(failed) >= _IN_A_ROW:
            raise HFSelectError(self._gave_up(failed[0][1]))
        yield from failed

    def _chat(self, stop: threading.Event) -> Chat:
        key_advice = "run hf auth login, or set HF_TOKEN"
        if self.base_url is not None:
            key_advice = f"set {KEY} to the server's key"
        return Chat(
            self._client(), self.model, self.max_tokens, self.temperature, self.retries, self.sleep, stop, key_advice
        )

    def _client(self) -> InferenceClient:
        from huggingface_hub import InferenceClient, get_token

        if self.base_url is not None:
            # Without a key the client would send the Hub's token to whatever server this is.
            return InferenceClient(base_url=self.base_url, api_key=os.environ.get(KEY) or _NO_KEY, timeout=self.timeout)
        if get_token() is None:
            raise HFSelectError("Inference Providers need a token of the Hub: run hf auth login, or set HF_TOKEN.")
        return InferenceClient(provider=self.provider, timeout=self.timeout)

    def _say(self, chat: Chat, request: Request) -> Said:
        try:
            pictures = [data_uri(image, self.max_side) for image in request.row.images]
        except ImageProblem as problem:
            return Said(status=problem.status, reason=problem.reason)
        return chat.ask(pictures, request.prompt)

    def _gave_up(self, said: Said) -> str:
        if said.status == REJECTED:
            return f"{said.reason}: check that {self.model} takes pictures of this size and so many tokens."
        return f"{said.reason}: check that the endpoint is up, or ask it more slowly."
