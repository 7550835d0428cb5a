"""The pre-norm transformer block of ViT, under the names its checkpoints use (``attn.qkv``, ``mlp.fc1``).

Attention takes a mask if it is given one: values added to the products of queries and keys, ``(B or 1, 1, T or 1, T)``, 0 for a
key that takes part and a large negative number for one that does not.

Source: ViT, arXiv 2010.11929, section 3.1.
"""

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

Gelu = Literal["none", "tanh"]
"""How GELU is computed, in torch's words: ``none`` is the exact one, by erf."""


class SelfAttention(nn.Module):
    """Multi-head attention of all tokens over all tokens; ``channels`` a multiple of ``heads``."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.head_dim = channels // heads
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Map tokens ``(B, T, channels)`` to ``(B, T, channels)``."""
        batch, tokens, channels = x.shape
        q, k, v = self.qkv(x).reshape(batch, tokens, 3, self.heads, self.head_dim).permute(2, 0, 3, 1, 4).unbind(0)
        products = q @ k.transpose(-2, -1) * self.head_dim**-0.5
        weights = (products if mask is None else products + mask).softmax(dim=-1)
        return self.proj((weights @ v).transpose(1, 2).reshape(batch, tokens, channels))


class Mlp(nn.Module):
    """Two linear layers with GELU between them."""

    def __init__(self, channels: int, hidden: int, *, gelu: Gelu = "none") -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, hidden)
        self.fc2 = nn.Linear(hidden, channels)
        self.gelu: Gelu = gelu

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(..., channels)`` to ``(..., channels)``."""
        return self.fc2(F.gelu(self.fc1(x), approximate=self.gelu))


class TransformerBlock(nn.Module):
    """Attention and MLP, each behind a LayerNorm and on a residual: ``x = x + attn(norm1(x)); x = x + mlp(norm2(x))``."""

    def __init__(self, channels: int, heads: int, hidden: int, *, eps: float, gelu: Gelu = "none") -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels, eps=eps)
        self.attn = SelfAttention(channels, heads)
        self.norm2 = nn.LayerNorm(channels, eps=eps)
        self.mlp = Mlp(channels, hidden, gelu=gelu)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Map tokens ``(B, T, channels)`` to ``(B, T, channels)``."""
        x = x + self.attn(self.norm1(x), mask)
        return x + self.mlp(self.norm2(x))
