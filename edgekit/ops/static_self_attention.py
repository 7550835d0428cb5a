"""Self-attention of one image in tensors of rank 3, with queries, keys and values as layers of their own or as one.

    apart     x (1, T, C) -> q, k, v (1, T, C) -> (H, T, D) each
    joint     x (1, T, C) -> qkv (1, T, 3C) -> (T, 3H, D) -> (3H, T, D) -> three parts (H, T, D)
    both      softmax(q k^T [+ mask]) v (H, T, D) -> (1, T, C) -> proj

The same as ``SelfAttention``; the scale of the products is part of q's weights.
"""

import torch
from torch import Tensor, nn


class StaticSelfAttention(nn.Module):
    """Multi-head attention among the tokens of one image, ``(1, T, channels)``; any number T of tokens."""

    def __init__(self, q: nn.Linear, k: nn.Linear, v: nn.Linear, proj: nn.Linear, *, heads: int) -> None:
        super().__init__()
        self.q = q
        self.k = k
        self.v = v
        self.proj = proj
        self.heads = heads

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Map ``(1, T, channels)`` to ``(1, T, channels)``; ``mask``, ``(1, 1, T or 1, T)``, is added to the products."""
        q, k, v = (_by_head(layer(x), self.heads) for layer in (self.q, self.k, self.v))
        return self.proj(_attend(q, k, v, mask).permute(1, 0, 2).reshape(x.shape))


class JointSelfAttention(nn.Module):
    """The same with one layer for queries, keys and values."""

    def __init__(self, qkv: nn.Linear, proj: nn.Linear, *, heads: int) -> None:
        super().__init__()
        self.qkv = qkv
        self.proj = proj
        self.heads = heads

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Map ``(1, T, channels)`` to ``(1, T, channels)``; ``mask``, ``(1, 1, T or 1, T)``, is added to the products."""
        every, heads = _by_head(self.qkv(x), 3 * self.heads), self.heads
        q, k, v = every[:heads], every[heads : 2 * heads], every[2 * heads :]
        return self.proj(_attend(q, k, v, mask).permute(1, 0, 2).reshape(x.shape))


def _by_head(x: Tensor, heads: int) -> Tensor:
    """Turn ``(1, T, H * D)`` into ``(H, T, D)``."""
    return x.reshape(x.shape[1], heads, -1).permute(1, 0, 2)


def _attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    products = torch.bmm(q, k.transpose(1, 2))
    return torch.bmm((products if mask is None else products + mask.reshape(1, *mask.shape[2:])).softmax(dim=-1), v)
