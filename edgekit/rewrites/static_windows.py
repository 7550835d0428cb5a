"""Spanning attention -> a static form of bounded rank, its q and k as weights of their own.

    before   q, k = chunk(conv_qk(pad(x)));  rank-6 partition, attention, rank-6 merge, twice
    after    q = conv_q(x)   k = conv_k(x);  the same with rank <= 6, 5 or 4, padding only where the map needs it

Exact for maps of the size seen, one image at a time. The source of the partition: EMOv2, section 3.3.
"""

from typing import Literal, TypeVar

import torch
from attrs import frozen
from torch import Tensor, nn

from edgekit.capabilities import TargetFacts
from edgekit.ops.spanning_attention import SpanningAttention
from edgekit.ops.static_spanning_attention import AttentionPlan, StaticSpanningAttention
from edgekit.ops.window_forms import Layout, WindowForm
from edgekit.rewrites.base import Refusal

_Layer = TypeVar("_Layer", nn.Linear, nn.Conv2d)


@frozen
class _Plan:
    size: tuple[int, int]


@frozen
class StaticWindows:
    """Give spanning attention a static window partition in one of its spellings."""

    layout: Layout
    max_rank: Literal[6, 5, 4]

    @property
    def name(self) -> str:
        """``static_windows_rank5_channels_last`` and the like."""
        return f"static_windows_rank{self.max_rank}_{self.layout}"

    def match(self, module: nn.Module) -> bool:
        """Spanning attention in its natural form."""
        return isinstance(module, SpanningAttention)

    def check(self, module: SpanningAttention, x: Tensor, target: TargetFacts) -> _Plan | Refusal:
        """Refuse batches, and targets that hold less than the form's rank."""
        del module
        limit = target.limit("max_rank")
        if limit is not None and self.max_rank > limit:
            return Refusal(f"{target.name} holds tensors of rank {limit} at most, and this form has rank {self.max_rank}")
        if x.shape[0] != 1:
            return Refusal(f"the static partition spends the batch axis; it takes one image, not {x.shape[0]}")
        return _Plan((x.shape[2], x.shape[3]))

    def replace(self, module: SpanningAttention, plan: _Plan) -> nn.Module:
        """Build the static module with the same weights."""
        build = _linear if self.layout == "channels_last" else _convolution
        weights = (*module.qk.conv.weight.chunk(2), module.v.conv.weight)
        biases = (*_bias(module.qk.conv).chunk(2), _bias(module.v.conv))
        q, k, v = (build(weight, bias) for weight, bias in zip(weights, biases, strict=True))
        scale = AttentionPlan(form=WindowForm(self.layout, self.max_rank), scale=module.head_dim**-0.5)
        return StaticSpanningAttention(q, k, v, heads=module.heads, window=module.window, size=plan.size, plan=scale)


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    """Return a linear layer with copies of a 1x1 convolution's weights, ``(out, in, 1, 1)`` and ``(out,)``."""
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    return _filled(layer, weight.flatten(1), bias)


def _convolution(weight: Tensor, bias: Tensor) -> nn.Conv2d:
    """Return a 1x1 convolution with copies of these weights."""
    return _filled(nn.Conv2d(weight.shape[1], weight.shape[0], 1), weight, bias)


def _filled(layer: _Layer, weight: Tensor, bias: Tensor) -> _Layer:
    layer.weight = nn.Parameter(weight.detach().clone())
    layer.bias = nn.Parameter(bias.detach().clone())
    return layer


def _bias(conv: nn.Conv2d) -> Tensor:
    return torch.zeros(conv.out_channels, dtype=conv.weight.dtype) if conv.bias is None else conv.bias
