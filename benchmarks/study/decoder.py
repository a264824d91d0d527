"""The study's small model: a decoder over frozen picture features, trained in minutes on one CPU core.

Sixteen picture tokens (EfficientNet-Lite0 features through a two-layer projector), then the conversation in a
vocabulary of the pool's own. 3.1 M parameters. Plain PyTorch, because on a CPU a model this small is slowed down by
everything else.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PAD, USER, ASSISTANT, END, IMAGE = range(5)
SPECIAL = ("<pad>", "<user>", "<assistant>", "<end>", "<image>")
PLACES, FEATURES = 16, 1280
MOST_TEXT = 512


class Block(nn.Module):
    """Pre-norm attention and MLP."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention, self.before_mlp = nn.RMSNorm(width), nn.RMSNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.up, self.down = nn.Linear(width, 4 * width, bias=False), nn.Linear(4 * width, width, bias=False)

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, each (rows, heads, length, width / heads)."""
        rows, length, width = x.shape
        qkv = self.qkv(self.before_attention(x)).view(rows, length, 3, self.heads, width // self.heads)
        return qkv.permute(2, 0, 3, 1, 4).unbind(0)

    def finish(self, x: Tensor, attended: Tensor) -> Tensor:
        """Add what attention gathered, then the MLP."""
        x = x + self.out(attended.transpose(1, 2).flatten(2))
        return x + self.down(F.relu(self.up(self.before_mlp(x))).square())

    def forward(self, x: Tensor) -> Tensor:
        """Causal attention; padding stands at the end, where it changes nothing before it."""
        q, k, v = self.project(x)
        return self.finish(x, F.scaled_dot_product_attention(q, k, v, is_causal=True))


class Decoder(nn.Module):
    """The model.

    Args:
        vocabulary: Number of tokens.
        width: Of the residual stream.
        layers: Blocks.
        heads: Attention heads.
    """

    def __init__(self, vocabulary: int, width: int = 192, layers: int = 4, heads: int = 4) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.text_positions = nn.Embedding(MOST_TEXT, width)
        self.picture_positions = nn.Parameter(torch.zeros(PLACES, width))
        self.projector = nn.Sequential(
            nn.LayerNorm(FEATURES), nn.Linear(FEATURES, width), nn.GELU(), nn.Linear(width, width)
        )
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm = nn.RMSNorm(width)
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.normal_(parameter, std=0.02)

    def embed(self, ids: Tensor, features: Tensor | None, start: Tensor | int = 0) -> Tensor:
        """Input vectors: (rows, [16 +] text, width)."""
        places = torch.arange(ids.shape[1]) + start
        text = self.tokens(ids) + self.text_positions(places)
        if features is None:
            return text
        return torch.cat([self.projector(features) + self.picture_positions, text], 1)

    def states(self, ids: Tensor, features: Tensor | None) -> list[Tensor]:
        """The residual stream after each block, and last the normalised one."""
        x = self.embed(ids, features)
        found = []
        for block in self.blocks:
            x = block(x)
            found.append(x)
        return [*found, self.norm(x)]

    def forward(self, ids: Tensor, features: Tensor | None) -> Tensor:
        """Normalised states (rows, length, width)."""
        return self.states(ids, features)[-1]

    def logits(self, states: Tensor) -> Tensor:
        """Next-token logits; the matrix is that of the token embeddings."""
        return states @ self.tokens.weight.T
