"""Instructions from a chat endpoint: Inference Providers, or any server that speaks OpenAI's chat completions."""

from __future__ import annotations

import base64
import io
import os
import random
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hf_select.annotate.annotator import Annotator, Request, Said
from hf_select.errors import HFSelectError, UsageError
from hf_select.pool.images import ImageProblem, RowImage

if TYPE_CHECKING:
    from datasets import Dataset
    from huggingface_hub import InferenceClient

KEY = "HF_SELECT_ANNOTATOR_KEY"
"""Environment variable with the key of a server given by its URL."""

_NO_KEY = "no-key"
_FORMATS = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpeg", b"RIFF": "webp"}
_AGAIN = {408, 409, 425, 429, 500, 502, 503, 504, 529}
_LONGEST_WAIT = 120.0


@dataclass(frozen=True, kw_only=True)
class EndpointAnnotator(Annotator):
    """Asks a chat endpoint through `huggingface_hub.InferenceClient`, several requests at a time.

    Pictures travel inside the request as data URIs: the file's own bytes for PNG, JPEG and WebP, else as PNG. Without a
    URL the request goes to Hugging Face's Inference Providers with the token of `hf auth login` or HF_TOKEN. A server
    given by its URL never gets that token: its key is read from HF_SELECT_ANNOTATOR_KEY. Neither is a field of this
    class, so none can be in an identity, a journal or a log.

    A request that meets 429, a server error, a timeout or a broken connection is sent again, `retries` times, after the
    seconds the server asks for in Retry-After or else 1, 2, 4, ... seconds with some chance in them, 120 at most.

    Attributes:
        model: The model's name at the endpoint.
        base_url: The server, such as http://localhost:8000/v1; None for Inference Providers.
        provider: An Inference Provider; None for the first of the user's order.
        max_tokens: Longest answer.
        temperature: 0 for the model's most likely answer.
        timeout: Seconds for one request.
        concurrency: Most requests under way.
        retries: How often a request is sent again.
        sleep: Waits for so many seconds. Not part of the identity.
    """

    model: str
    base_url: str | None = None
    provider: str | None = None
    max_tokens: int = 512
    temperature: float = 0.0
    timeout: float = 120.0
    concurrency: int = 8
    retries: int = 5
    sleep: Callable[[float], None] = time.sleep

    def __post_init__(self) -> None:
        if self.concurrency < 1 or self.retries < 0 or self.max_tokens < 1 or not self.timeout > 0:
            raise UsageError("concurrency and max_tokens are at least 1, retries at least 0, and timeout is above 0.")
        if self.base_url is not None and not self.base_url.startswith(("http://", "https://")):
            raise UsageError(f"{self.base_url!r} is no URL: give the server's, such as http://localhost:8000/v1.")
        if self.base_url is not None and "@" in self.base_url:
            raise UsageError(f"put the server's key into the environment variable {KEY}, not into its URL.")

    def identity(self) -> dict[str, Any]:
        """What decides the answers: where, which model, and how it generates."""
        names = ("model", "base_url", "provider", "max_tokens", "temperature")
        return {"annotator": "endpoint", **{name: getattr(self, name) for name in names}}

    def ask(self, pool: Dataset, requests: Iterable[Request]) -> Iterator[tuple[Request, Said]]:
        """Answer `requests`, at most `concurrency` at a time."""
        client = self._client()
        queue = iter(requests)
        under_way: dict[Future[Said], Request] = {}
        failure: HFSelectError | None = None
        with ThreadPoolExecutor(self.concurrency) as threads:
            while True:
                while failure is None and len(under_way) < self.concurrency:
                    request = next(queue, None)
                    if request is None:
                        break
                    under_way[threads.submit(self._say, client, request)] = request
                if not under_way:
                    break
                for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                    request = under_way.pop(future)
                    try:
                        said = future.result()
                    except HFSelectError as error:
                        # Requests under way are paid for: they are still handed over.
                        failure = failure or error
                        continue
                    yield request, said
        if failure is not None:
            raise failure

    def _client(self) -> InferenceClient:
        from huggingface_hub import InferenceClient

        if self.base_url is not None:
            # Without a key the client would send the Hub's token to whatever server this is.
            return InferenceClient(base_url=self.base_url, api_key=os.environ.get(KEY) or _NO_KEY, timeout=self.timeout)
        return InferenceClient(provider=self.provider, timeout=self.timeout)

    def _say(self, client: InferenceClient, request: Request) -> Said:
        try:
            pictures = [data_uri(image) for image in request.row.images]
        except ImageProblem as problem:
            return Said(status=problem.status, reason=problem.reason)
        content = [{"type": "image_url", "image_url": {"url": uri}} for uri in pictures]
        messages = [{"role": "user", "content": [*content, {"type": "text", "text": request.prompt}]}]
        answer = self._with_retries(client, messages)
        try:
            text = answer.choices[0].message.content or ""
        except (AttributeError, IndexError, TypeError):
            text = ""
        usage = answer.usage
        paid = (usage.prompt_tokens, usage.completion_tokens) if usage is not None else (0, 0)
        return Said(text, tokens_in=int(paid[0] or 0), tokens_out=int(paid[1] or 0))

    def _with_retries(self, client: InferenceClient, messages: list[dict[str, Any]]) -> Any:
        from huggingface_hub.errors import HfHubHTTPError, InferenceTimeoutError, OfflineModeIsEnabled
        from huggingface_hub.utils import get_session

        broken = _transport_errors(get_session())
        for attempt in range(self.retries + 1):
            pause = min(_LONGEST_WAIT, 2.0**attempt) * (0.5 + random.random() / 2)
            try:
                return client.chat_completion(
                    messages, model=self.model, max_tokens=self.max_tokens, temperature=self.temperature
                )
            except InferenceTimeoutError:
                trouble = f"no answer within {self.timeout:g} seconds"
            except HfHubHTTPError as error:
                status = error.response.status_code
                if status not in _AGAIN:
                    raise HFSelectError(self._refusal(status)) from None
                trouble = f"HTTP status {status}"
                pause = _asked_wait(error.response.headers.get("retry-after"), pause)
            except OfflineModeIsEnabled:
                raise HFSelectError(
                    "HF_HUB_OFFLINE is set, and huggingface_hub then sends no request, to no server: unset it."
                ) from None
            except broken as error:
                trouble = type(error).__name__
            except (ValueError, KeyError, TypeError) as error:
                trouble = f"a reply that is no chat completion ({type(error).__name__})"
            if attempt < self.retries:
                self.sleep(pause)
        raise HFSelectError(f"the annotator {self.model} gave {trouble}, {self.retries + 1} times in a row.")

    def _refusal(self, status: int) -> str:
        where = self.base_url or "Inference Providers"
        if status in (401, 403):
            key = f"set {KEY} to the server's key" if self.base_url else "run hf auth login, or set HF_TOKEN"
            return f"{where} refuses the request (HTTP {status}): {key}, and check that it may use {self.model}."
        if status == 402:
            return f"{where} asks for payment (HTTP 402): add credit, or choose another provider."
        if status == 404:
            return f"{where} has no model {self.model} (HTTP 404): check its name and the URL."
        return f"{where} refuses the request (HTTP {status}): check that {self.model} takes pictures of this size."


def data_uri(image: RowImage) -> str:
    """Return a picture as a data URI, its own bytes where browsers know the format, else as PNG.

    Raises:
        ImageProblem: The picture can't be read.
    """
    content = image.bytes()
    kind = next((name for start, name in _FORMATS.items() if content.startswith(start)), None)
    if kind is None or (kind == "webp" and content[8:12] != b"WEBP"):
        buffer = io.BytesIO()
        image.open().save(buffer, format="PNG")
        content, kind = buffer.getvalue(), "png"
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _asked_wait(header: str | None, otherwise: float) -> float:
    """Seconds from a Retry-After header that holds a number; `otherwise` for none or a date."""
    try:
        return min(_LONGEST_WAIT, max(0.0, float(header))) if header is not None else otherwise
    except ValueError:
        return otherwise


def _transport_errors(session: Any) -> tuple[type[Exception], ...]:
    """The errors of a broken connection, of the HTTP library that this huggingface_hub brings."""
    import importlib

    library = importlib.import_module(type(session).__module__.split(".")[0])
    return (library.TransportError, ConnectionError)
