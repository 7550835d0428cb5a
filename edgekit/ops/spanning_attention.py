"""Spanning-window attention (SEW-MHSA): every token attends over a neighbour and a distant window.

Both partitions cut the map into windows of ``window x window`` tokens. With ``n`` windows along an
axis, the neighbour partition takes ``window`` adjacent rows, the distant one every ``n``-th row:

    axis of 6 rows, window 3      neighbour  0 0 0 1 1 1      distant  0 1 0 1 0 1

Source: EMOv2, arXiv 2412.06674, section 3.3.
"""

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

Partition = Literal["neighbour", "distant"]


class PointwiseConv(nn.Module):
    """A 1x1 convolution under the name ``conv``, as the official checkpoints store it."""

    def __init__(self, in_channels: int, out_channels: int, *, bias: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, in_channels, H, W)`` to ``(B, out_channels, H, W)``."""
        return self.conv(x)


def partition_windows(x: Tensor, window: int, kind: Partition) -> Tensor:
    """Cut ``(B, C, H, W)`` into ``(B * windows, C, window, window)``; H and W are multiples of ``window``."""
    b, c, height, width = x.shape
    n1, n2 = height // window, width // window
    if kind == "neighbour":  # b c (n1 h) (n2 w) -> (b n1 n2) c h w
        x = x.reshape(b, c, n1, window, n2, window).permute(0, 2, 4, 1, 3, 5)
    else:  # b c (h n1) (w n2) -> (b n1 n2) c h w
        x = x.reshape(b, c, window, n1, window, n2).permute(0, 3, 5, 1, 2, 4)
    return x.reshape(b * n1 * n2, c, window, window)


def merge_windows(x: Tensor, height: int, width: int, kind: Partition) -> Tensor:
    """Undo :func:`partition_windows`: ``(B * windows, C, window, window)`` to ``(B, C, H, W)``."""
    _, c, window, _ = x.shape
    n1, n2 = height // window, width // window
    x = x.reshape(-1, n1, n2, c, window, window)
    x = x.permute(0, 3, 1, 4, 2, 5) if kind == "neighbour" else x.permute(0, 3, 4, 1, 5, 2)
    return x.reshape(-1, c, height, width)


def split_heads(x: Tensor, heads: int) -> Tensor:
    """Turn ``(N, heads * D, h, w)`` into ``(N, heads, h * w, D)``."""
    n, c, height, width = x.shape
    return x.reshape(n, heads, c // heads, height * width).transpose(-2, -1)


class SpanningAttention(nn.Module):
    """Multi-head attention inside neighbour and distant windows with one q, k, v; the two results are added.

    Maps that are no multiple of ``window`` are zero-padded at the right and bottom before the
    projections, so a padded token's q, k, v are the projections' biases and take part in the softmax.
    """

    def __init__(self, channels: int, value_channels: int, *, head_dim: int, window: int) -> None:
        super().__init__()
        self.heads = channels // head_dim
        self.head_dim = head_dim
        self.window = window
        self.qk = PointwiseConv(channels, 2 * channels, bias=True)
        self.v = PointwiseConv(channels, value_channels, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, channels, H, W)`` to ``(B, value_channels, H, W)``."""
        height, width = x.shape[2:]
        x = F.pad(x, (0, -width % self.window, 0, -height % self.window))
        q, k = self.qk(x).chunk(2, dim=1)
        v = F.gelu(self.v(x))
        out = self.attend(q, k, v, "neighbour") + self.attend(q, k, v, "distant")
        return out[:, :, :height, :width]

    def attend(self, q: Tensor, k: Tensor, v: Tensor, kind: Partition) -> Tensor:
        """Attend inside one partition's windows; q and k ``(B, C, H, W)``, v and the result ``(B, value_channels, H, W)``."""
        height, width = q.shape[2:]
        q, k, v = (split_heads(partition_windows(t, self.window, kind), self.heads) for t in (q, k, v))
        weights = (q @ k.transpose(-2, -1) * self.head_dim**-0.5).softmax(dim=-1)
        out = (weights @ v).transpose(-2, -1).reshape(q.shape[0], -1, self.window, self.window)
        return merge_windows(out, height, width, kind)
