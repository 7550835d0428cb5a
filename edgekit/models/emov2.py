"""EMOv2: meta mobile blocks with spanning-window attention, as published.

Names of parameters follow the official repository (zhangzjn/EMOv2), so its checkpoints load as they are.

    image -> stage0 (stem, /2) -> stage1..stage4 (meta mobile blocks, /2 each) -> norm -> mean -> head

Source: EMOv2, arXiv 2412.06674, table 2 (sizes) and section 3 (blocks).
"""

from dataclasses import dataclass

from torch import Tensor, nn

from edgekit.ops.layer_norm import LayerNorm2d
from edgekit.ops.layer_scale import LayerScale
from edgekit.ops.spanning_attention import PointwiseConv, SpanningAttention

_EPS = 1e-6
_STEM_KERNEL = 3
_BLOCK_KERNEL = 5


@dataclass(frozen=True, kw_only=True)
class EMOv2Config:
    """Sizes of one EMOv2; four values each, one a stage.

    ``stem_stride``: of the first convolution. ``window``: side of an attention window in tokens; ``None``: what the paper
    takes at the resolution, see :func:`window_for`.
    """

    depths: tuple[int, int, int, int]
    dims: tuple[int, int, int, int]
    expansions: tuple[float, float, float, float]
    head_dims: tuple[int, int, int, int]
    stem_stride: int = 2
    window: int | None = None


CONFIGS = {
    "1m": EMOv2Config(depths=(2, 2, 8, 3), dims=(32, 48, 80, 180), expansions=(2, 2.5, 3, 3.5), head_dims=(16, 16, 20, 20)),
    "2m": EMOv2Config(depths=(3, 3, 9, 3), dims=(32, 48, 120, 200), expansions=(2, 2.5, 3, 3.5), head_dims=(16, 16, 20, 20)),
    "5m": EMOv2Config(depths=(3, 3, 9, 3), dims=(48, 72, 160, 288), expansions=(2, 3, 4, 4), head_dims=(16, 24, 32, 32)),
    "20m": EMOv2Config(depths=(3, 3, 13, 3), dims=(64, 128, 320, 448), expansions=(2, 3, 4, 4), head_dims=(16, 32, 32, 32)),
    "50m": EMOv2Config(depths=(5, 8, 20, 7), dims=(64, 128, 384, 512), expansions=(2, 3, 4, 4), head_dims=(16, 32, 32, 32)),
    # Published nowhere: for 32 x 32 pixels, where stage 3 has 4 x 4 tokens, 2 x 2 windows in either partition.
    "nano": EMOv2Config(depths=(2, 2, 4, 2), dims=(32, 48, 96, 160), expansions=(2, 2.5, 3, 3), head_dims=(16, 16, 24, 32), stem_stride=1, window=2),
}


def window_for(resolution: int) -> int:
    """Return the window the paper uses: 7 tokens where stage 4's map is a multiple of 7 (224), else 8 (256, 512).

    Padding makes any window work at any resolution; this picks the one that pads least, 7 on a tie as at 224.
    """
    map_sizes = (resolution // 16, resolution // 32)
    return min((7, 8), key=lambda window: sum((size + -size % window) ** 2 for size in map_sizes))


class ConvNormAct(nn.Module):
    """Convolution, then optionally batch normalisation and SiLU; "same" padding for odd kernels."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, *, stride: int = 1, groups: int = 1, bias: bool = False, norm_act: bool = True
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=bias)
        self.norm = nn.BatchNorm2d(out_channels, eps=_EPS) if norm_act else nn.Identity()
        self.act = nn.SiLU() if norm_act else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, in_channels, H, W)`` to ``(B, out_channels, H / stride, W / stride)``."""
        return self.act(self.norm(self.conv(x)))


class ExpansionConv(nn.Module):
    """The block operator without attention: a 1x1 convolution to the expanded width and an activation."""

    def __init__(self, in_channels: int, out_channels: int, act: nn.Module) -> None:
        super().__init__()
        self.net = PointwiseConv(in_channels, out_channels, bias=True)
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, in_channels, H, W)`` to ``(B, out_channels, H, W)``."""
        return self.act(self.net(x))


class MetaMobileBlock(nn.Module):
    """One meta mobile block (iiRMB); paper section 3.2.

    y = operator(norm(x)),  l = SiLU(BN(depthwise5x5(y)))
    with skip:  x + gamma * proj(y + l)        without:  gamma * proj(l)
    """

    def __init__(self, in_channels: int, out_channels: int, hidden: int, *, norm: nn.Module, operator: nn.Module, stride: int) -> None:
        super().__init__()
        self.skip = stride == 1 and in_channels == out_channels
        self.norm = norm
        self.eops = nn.ModuleList([operator])
        self.conv_local = ConvNormAct(hidden, hidden, _BLOCK_KERNEL, stride=stride, groups=hidden)
        self.proj = PointwiseConv(hidden, out_channels, bias=False)
        self.ls = LayerScale(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, in_channels, H, W)`` to ``(B, out_channels, H / stride, W / stride)``."""
        y = self.eops[0](self.norm(x))
        local = self.conv_local(y)
        if self.skip:
            return x + self.ls(self.proj(y + local))
        return self.ls(self.proj(local))


class EMOv2(nn.Module):
    """The EMOv2 classifier: image ``(B, 3, R, R)`` to logits ``(B, num_classes)``; R a multiple of 32 (of 16 with a stem of stride 1).

    ``window``: where the configuration names none.
    """

    def __init__(self, config: EMOv2Config, *, num_classes: int = 1000, window: int = 7) -> None:
        super().__init__()
        window = config.window or window
        stem = config.dims[0] // 2
        self.stage0 = nn.Sequential(
            ConvNormAct(3, stem, _STEM_KERNEL, stride=config.stem_stride, bias=True),
            ConvNormAct(stem, stem, _STEM_KERNEL, groups=stem),
            ConvNormAct(stem, stem, 1, norm_act=False),
        )
        self.stage1, self.stage2, self.stage3, self.stage4 = (_stage(config, stage, window) for stage in range(4))
        self.norm = LayerNorm2d(config.dims[-1], _EPS)
        self.head = nn.Linear(config.dims[-1], num_classes)

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits, ``(B, num_classes)``, of a normalised image ``(B, 3, R, R)``."""
        x = self.stage0(image)
        for stage in (self.stage1, self.stage2, self.stage3, self.stage4):
            x = stage(x)
        return self.head(self.norm(x).mean(dim=(2, 3)))


def _stage(config: EMOv2Config, stage: int, window: int) -> nn.Sequential:
    """Build stage ``stage`` (0 to 3): its first block reads the width of the stage before, or of the stem."""
    before = config.dims[stage - 1] if stage else config.dims[0] // 2
    return nn.Sequential(*(_block(config, stage, index, config.dims[stage] if index else before, window) for index in range(config.depths[stage])))


def _block(config: EMOv2Config, stage: int, index: int, in_channels: int, window: int) -> MetaMobileBlock:
    """Build block ``index`` of ``stage`` (0 to 3): attention in the last two stages after their first block."""
    out_channels, expansion = config.dims[stage], config.expansions[stage]
    # The first block expands what comes in and reduces the resolution; its expansion factor is doubled.
    hidden = int(in_channels * expansion * (2 if index == 0 else 1))
    late = stage >= 2
    norm = LayerNorm2d(in_channels, _EPS) if late else nn.BatchNorm2d(in_channels, eps=_EPS)
    operator: nn.Module
    if late and index > 0:
        operator = SpanningAttention(in_channels, hidden, head_dim=config.head_dims[stage], window=window)
    else:
        operator = ExpansionConv(in_channels, hidden, nn.GELU() if late else nn.SiLU())
    return MetaMobileBlock(in_channels, out_channels, hidden, norm=norm, operator=operator, stride=2 if index == 0 else 1)
