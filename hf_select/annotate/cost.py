"""What annotation will cost and has cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hf_select.annotate.annotator import Request

IMAGE_TOKENS = 1000
"""Tokens a picture is estimated at; models take 250 to 2,000."""
ANSWER_TOKENS = 150
"""Tokens an instruction is estimated at."""
CHARACTERS = 4
"""Characters of a prompt that are estimated as one token."""


@dataclass(frozen=True)
class Rates:
    """Prices for a million tokens, in any one currency.

    Attributes:
        price_in: Of tokens read: prompts and pictures.
        price_out: Of tokens written.
    """

    price_in: float = 0.0
    price_out: float = 0.0

    def cost(self, tokens_in: int, tokens_out: int) -> float:
        """The price of so many tokens."""
        return (tokens_in * self.price_in + tokens_out * self.price_out) / 1e6


@dataclass(frozen=True)
class Estimate:
    """What some requests will roughly cost: pictures, tokens in and out, and the price."""

    images: int
    tokens_in: int
    tokens_out: int
    cost: float


def estimate(requests: Sequence[Request], rates: Rates) -> Estimate:
    """Estimate before anything is asked: prompts by their characters, pictures and answers by round figures."""
    images = sum(len(request.row.images) for request in requests)
    words = sum(-(-len(request.prompt) // CHARACTERS) for request in requests)
    tokens_in, tokens_out = words + images * IMAGE_TOKENS, len(requests) * ANSWER_TOKENS
    return Estimate(images, tokens_in, tokens_out, rates.cost(tokens_in, tokens_out))
