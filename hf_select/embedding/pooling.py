"""From the tokens of an encoder to one vector an item."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from hf_select.errors import UnknownName, UsageError

if TYPE_CHECKING:
    from torch import Tensor

Pool = Literal["cls", "mean"]
POOLS = ("cls", "mean")

_MOST_EXTRA = 16


def known_pool(pool: str) -> str:
    """Return `pool`, or raise `UnknownName`."""
    if pool not in POOLS:
        raise UnknownName("pool", pool, POOLS)
    return pool


def extra_tokens(tokens: int, places: int | None) -> int:
    """Return how many tokens stand before those of the image's places: CLS and registers; 0 means there is no CLS.

    Args:
        tokens: Tokens that came out.
        places: Patches of the image, or None where the encoder doesn't say its patch size.

    Raises:
        UsageError: If the numbers fit neither (tokens dropped at random, tokens behind the patches).
    """
    if places is None:
        return 0
    extra = tokens - places
    merged = extra < 0 and places % tokens == 0 and (places // tokens) ** 0.5 % 1 == 0
    if merged:
        return 0
    if not 0 <= extra <= _MOST_EXTRA:
        raise UsageError(
            f"this encoder gives {tokens} tokens for {places} patches, so which of them are CLS, registers or places"
            " can't be told: give it as ImageEmbedding.of(module, ...) where the module returns one vector an image."
        )
    return extra


def pooled_image(tokens: Tensor, pool: str, places: int | None, name: str) -> Tensor:
    """Pool what an image encoder gives.

    Args:
        tokens: (n, d), which is returned as it is; (n, tokens, d); or a map (n, d, height, width).
        pool: "cls" takes the first token, "mean" all tokens but CLS and registers, or all places of a map. Where
            `places` is None every token counts, and the first one is the CLS.
        places: Patches of the image.
        name: What messages call the encoder.

    Returns:
        (n, d), float32.

    Raises:
        UsageError: If "cls" is asked of an encoder without CLS token.
    """
    tokens = tokens.float()
    if tokens.ndim == 2:
        return tokens
    if tokens.ndim == 4:
        extra, tokens = 0, tokens.flatten(2).transpose(1, 2)
    elif tokens.ndim == 3:
        extra = 1 if places is None and pool == "cls" else extra_tokens(tokens.shape[1], places)
    else:
        raise UsageError(f"{name} gives a tensor of shape {tuple(tokens.shape)}: (n, d) or (n, tokens, d) is needed.")
    if pool == "mean":
        return tokens[:, extra:].mean(1)
    if extra == 0:
        raise UsageError(f'{name} has no CLS token: use pool="mean".')
    return tokens[:, 0]


def pooled_text(tokens: Tensor, mask: Tensor, pool: str) -> Tensor:
    """Pool what a text encoder gives: the first token, or the mean over the tokens that aren't padding.

    Args:
        tokens: (n, length, d), padded on the right.
        mask: (n, length), 1 for tokens and 0 for padding.
        pool: "cls" or "mean".

    Returns:
        (n, d), float32.
    """
    tokens = tokens.float()
    if pool == "cls":
        return tokens[:, 0]
    weights = mask.unsqueeze(-1).to(tokens.dtype)
    return (tokens * weights).sum(1) / weights.sum(1)
