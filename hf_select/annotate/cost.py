"""What annotation will cost and has cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hf_select.annotate.chosen import Chosen

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


def text_tokens(text: str) -> int:
    """Estimate the tokens of a text by its characters."""
    return -(-len(text) // CHARACTERS)


def estimate(asked: Sequence[Chosen], rates: Rates, image_tokens: int = IMAGE_TOKENS) -> Estimate:
    """Estimate before anything is asked: prompts by their characters, pictures and answers by round figures.

    Args:
        asked: The rows that will be asked for.
        rates: Prices.
        image_tokens: Tokens of one picture.
    """
    images = sum(len(chosen.images) for chosen in asked)
    tokens_in = sum(text_tokens(chosen.prompt) for chosen in asked) + images * image_tokens
    tokens_out = len(asked) * ANSWER_TOKENS
    return Estimate(images, tokens_in, tokens_out, rates.cost(tokens_in, tokens_out))
