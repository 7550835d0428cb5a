"""The parts of CHASE: what every stage of it is built from.

A scale's *dense concatenation* is its map with everything that layers have added; it travels with its pooled channels.
Scales are listed finest first.

Source: CHASE (Addad, Lechervy, Jurie); MSDNet, arXiv 1703.09844, section 4 and kalviny/MSDNet-PyTorch.
"""

from collections.abc import Sequence
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgekit.ops.channel_attention import ChannelAttention, pool_channels


class Dense(NamedTuple):
    """A dense concatenation: ``map`` ``(B, C, H, W)`` and ``pooled`` ``(B, C, 1, 1)``, the means of its channels."""

    map: Tensor
    pooled: Tensor

    @classmethod
    def of(cls, part: Tensor) -> Self:
        """Begin a concatenation with its first part, ``(B, C, H, W)``."""
        return cls(part, pool_channels(part))

    def grown(self, part: Tensor) -> "Dense":
        """Return the concatenation with one more part; only the new part is pooled."""
        return Dense(torch.cat([self.map, part], dim=1), torch.cat([self.pooled, pool_channels(part)], dim=1))


class ConvNormAct(nn.Module):
    """Convolution without bias, batch normalisation, GELU (erf); "same" padding for odd kernels."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, *, stride: int = 1, groups: int = 1, act: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(out_channels)
        self.act = nn.GELU() if act else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, in_channels, H, W)`` to ``(B, out_channels, H / stride, W / stride)``, rounded up."""
        return self.act(self.norm(self.conv(x)))


class Stem(nn.Module):
    """The image's way to the first dense concatenations, one a scale.

    first (3x3, ``stride``) -> GELU(first + 1x1(dw3x3(first))) -> 3x3 stride 2 -> scale 1 -> 3x3 stride 2 -> scale 2 -> ...
    """

    def __init__(self, widths: Sequence[int], *, stride: int) -> None:
        super().__init__()
        width = widths[0]
        self.first = ConvNormAct(3, width, 3, stride=stride)
        self.depthwise = ConvNormAct(width, width, 3, groups=width)
        self.pointwise = ConvNormAct(width, width, 1, act=False)
        self.scales = nn.ModuleList(ConvNormAct(before, after, 3, stride=2) for before, after in zip((width, *widths), widths, strict=False))

    def forward(self, image: Tensor) -> list[Dense]:
        """Map ``(B, 3, R, R)`` to one concatenation a scale: ``R / (2 stride)`` pixels high and wide, then half at each."""
        x = self.first(image)
        x = F.gelu(x + self.pointwise(self.depthwise(x)))
        scales = []
        for scale in self.scales:
            x = scale(x)
            scales.append(Dense.of(x))
        return scales


class Branch(nn.Module):
    """``f`` (stride 2) or ``h`` (stride 1) and its CAM: attention, 1x1 to the bottleneck, 3x3; batch norm and GELU after both."""

    def __init__(self, in_channels: int, out_channels: int, *, bottleneck: int, stride: int) -> None:
        super().__init__()
        hidden = min(in_channels, bottleneck)
        self.attention = ChannelAttention(in_channels, in_channels // 2)
        self.reduce = ConvNormAct(in_channels, hidden, 1)
        self.spatial = ConvNormAct(hidden, out_channels, 3, stride=stride)

    def forward(self, dense: Dense) -> Tensor:
        """Map ``(B, in_channels, H, W)`` to ``(B, out_channels, H / stride, W / stride)``."""
        return self.spatial(self.reduce(self.attention(dense.map, dense.pooled)))


class FinestScale(nn.Module):
    """What a layer adds to the finest live scale: ``h`` of the scale's own concatenation."""

    def __init__(self, same: Branch) -> None:
        super().__init__()
        self.same = same

    def forward(self, here: Dense, _: Dense | None) -> Tensor:
        """Map the scale's own concatenation to its new part, ``(B, growth, H, W)``."""
        return self.same(here)


class CoarserScale(nn.Module):
    """What a layer adds to any other scale: half from the finer scale (``f``), half from its own (``h``)."""

    def __init__(self, down: Branch, same: Branch) -> None:
        super().__init__()
        self.down = down
        self.same = same

    def forward(self, here: Dense, finer: Dense) -> Tensor:
        """Map the scale's own and the finer scale's current concatenation to the new part, ``(B, growth, H, W)``."""
        return torch.cat([self.down(finer), self.same(here)], dim=1)


class DenseLayer(nn.Module):
    """One layer over the live scales: ``x[l,s] = f(CAM(cat_i<=l x[i,s-1])) (+) h(CAM(cat_i<l x[i,s]))``.

    ``f`` reads the finer scale with what this very layer has added to it, so the scales run one after the other.
    """

    def __init__(self, scales: Sequence[nn.Module]) -> None:
        super().__init__()
        self.scales = nn.ModuleList(scales)

    def forward(self, dense: list[Dense]) -> list[Dense]:
        """Return the concatenations, each grown by one part; finest first."""
        grown: list[Dense] = []
        for scale, here in zip(self.scales, dense, strict=True):
            grown.append(here.grown(scale(here, grown[-1] if grown else None)))
        return grown


class Transition(nn.Module):
    """Between two blocks: the finest scale ends, and each other's concatenation is compressed into a new first part."""

    def __init__(self, widths: Sequence[tuple[int, int]]) -> None:
        super().__init__()
        self.scales = nn.ModuleList(ConvNormAct(before, after, 1) for before, after in widths)

    def forward(self, dense: list[Dense]) -> list[Dense]:
        """Map S concatenations to S - 1, each of fewer channels."""
        return [Dense.of(scale(here.map)) for scale, here in zip(self.scales, dense[1:], strict=True)]


class GlobalAttention(nn.Module):
    """GAL: position encoding by a depth-wise 3x3, attention over all positions, MLP; a residual around each."""

    def __init__(self, channels: int, *, heads: int, head_dim: int, mlp_ratio: float) -> None:
        super().__init__()
        width, hidden = heads * head_dim, int(channels * mlp_ratio)
        self.heads, self.head_dim = heads, head_dim
        self.position = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.norm1 = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * width)
        self.proj = nn.Linear(width, channels)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = nn.Sequential(nn.Linear(channels, hidden), nn.GELU(), nn.Linear(hidden, channels))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, C, H, W)`` to the same shape; every position sees all others."""
        x = x + self.position(x)
        tokens = x.flatten(2).transpose(1, 2)  # (B, H W, C)
        tokens = tokens + self._attend(self.norm1(tokens))
        tokens = tokens + self.mlp(self.norm2(tokens))
        return tokens.transpose(1, 2).reshape(x.shape)

    def _attend(self, tokens: Tensor) -> Tensor:
        b, n, _ = tokens.shape
        q, k, v = self.qkv(tokens).reshape(b, n, 3, self.heads, self.head_dim).permute(2, 0, 3, 1, 4).unbind(0)
        weights = (q @ k.transpose(-2, -1) * self.head_dim**-0.5).softmax(dim=-1)
        return self.proj((weights @ v).transpose(1, 2).reshape(b, n, -1))


class Classifier(nn.Module):
    """An exit's own answer: two 3x3 of stride 2 with batch norm and GELU, mean, linear."""

    def __init__(self, in_channels: int, hidden: int, num_classes: int) -> None:
        super().__init__()
        self.convs = nn.Sequential(ConvNormAct(in_channels, hidden, 3, stride=2), ConvNormAct(hidden, hidden, 3, stride=2))
        self.linear = nn.Linear(hidden, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map the coarsest concatenation, ``(B, in_channels, H, W)``, to logits ``(B, num_classes)``."""
        return self.linear(self.convs(x).mean(dim=(2, 3)))
