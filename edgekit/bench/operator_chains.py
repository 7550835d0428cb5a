"""Small networks in which operators of one kind stand in a row: what is timed to learn what such an operator costs."""

from collections.abc import Callable

import torch
from attrs import frozen
from torch import Tensor, nn
from torch.nn import functional as F

CONVERT = "convert"
"""Products of which every second stays in floats: beside those that are all of one kind, what conversions cost."""
KINDS = (
    *("conv", "stem", "depthwise", "depthwise_cached", "linear", "matmul", "add", "mul", CONVERT),
    *("activation", "gelu", "mean", "pool", "norm", "softmax"),
)
"""What a chain may be of; the kinds of :mod:`edgekit.planner.groups`, and some that are not like the others of theirs."""
COUNTED_IN_MACS = frozenset(("conv", "stem", "depthwise", "depthwise_cached", "linear", "matmul"))
"""Those whose work is multiply-adds; of the others it is the values that they write."""
_STEM_CHANNELS = 3


@frozen
class Size:
    """How large the values of a chain are: channels, and rows and columns. Where operators take tokens, there are rows times columns of them."""

    channels: int
    side: int


_SIZES = (Size(64, 28), Size(192, 14))
_SIZES_OF = {
    "stem": (Size(24, 112), Size(32, 112)),
    "depthwise": (Size(192, 28), Size(640, 14)),
    "depthwise_cached": (Size(96, 56), Size(64, 28)),
}


def _depthwise(channels: int) -> nn.Module:
    return nn.Conv2d(channels, channels, 5, padding=2, groups=channels)


def sizes_of(kind: str) -> tuple[Size, ...]:
    """Return the sizes at which a kind is timed; its cost is the mean."""
    return _SIZES_OF.get(kind, _SIZES)


class Chain(nn.Module):
    """A convolution that everything starts from, then ``length`` operators of one kind: ``(1, 3, H, W)`` to any shape."""

    def __init__(self, kind: str, size: Size, length: int) -> None:
        super().__init__()
        self.kind = kind
        self.first = nn.Conv2d(3, size.channels, 1)
        made: Callable[[], nn.Module] = {
            "conv": lambda: nn.Conv2d(size.channels, size.channels, 1),
            "stem": lambda: nn.Conv2d(_STEM_CHANNELS, size.channels, 3, padding=1),
            "depthwise": lambda: _depthwise(size.channels),
            "depthwise_cached": lambda: _depthwise(size.channels),
            "linear": lambda: nn.Linear(size.channels, size.channels),
        }.get(kind, nn.Identity)
        self.layers = nn.ModuleList(made() for _ in range(length))

    def forward(self, image: Tensor) -> Tensor:
        """Return a value that all of the chain takes part in."""
        x = first = self.first(image)
        if self.kind in ("linear", "matmul", "softmax", "norm"):
            x = first = x.flatten(2).transpose(1, 2)
        square = first @ first.transpose(1, 2) * 0.01 if self.kind == "matmul" else first
        for layer in self.layers:
            x = self._step(layer, x, first, square)
        return x

    def _step(self, layer: nn.Module, x: Tensor, first: Tensor, square: Tensor) -> Tensor:
        steps: dict[str, Callable[[], Tensor]] = {
            "matmul": lambda: torch.bmm(square, x),
            "stem": lambda: F.relu(layer(x[:, :_STEM_CHANNELS])),
            "add": lambda: x + first,
            "mul": lambda: x * first,
            CONVERT: lambda: x * first,
            "activation": lambda: F.silu(x),
            "gelu": lambda: F.gelu(x + first),  # in a row they would become one table to look up in
            "mean": lambda: x + x.mean((2, 3), keepdim=True),
            "pool": lambda: F.max_pool2d(x, 3, 1, 1),
            "norm": lambda: F.layer_norm(x, x.shape[-1:]),
            "softmax": lambda: x.softmax(-1),
        }
        return steps.get(self.kind, lambda: F.relu(layer(x)))()  # fused into the operator; without it layers in a row would be merged
