"""Self-attention of rank 5 -> the same in tensors of rank 3, queries, keys and values as layers of their own or as one.

    before   qkv(x) (1, T, 3C) -> (1, T, 3, H, D) -> (3, 1, H, T, D) -> q, k, v      softmax(q k^T / sqrt(D)) v
    apart    q'(x), k(x), v(x) (1, T, C) -> (H, T, D) each                           softmax(q' k^T) v         W_q' = W_q / sqrt(D)
    joint    qkv'(x) (1, T, 3C) -> (T, 3H, D) -> (3H, T, D) -> q', k, v              softmax(q' k^T) v

Exact in real arithmetic, for one image and any number of tokens. Converters write the rank-5 permute as it stands, a copy of
all three, and the products of rank 4 with copies of their operands.
"""

from typing import ClassVar

import torch
from attrs import frozen
from torch import Tensor, nn

from edgekit.capabilities import TargetFacts
from edgekit.ops.static_self_attention import JointSelfAttention, StaticSelfAttention
from edgekit.ops.transformer_block import SelfAttention
from edgekit.rewrites.base import Refusal


@frozen
class _Plan:
    scale: float


@frozen
class StaticAttention:
    """Give self-attention of one image rank 3, and with ``joint`` leave it its one projection."""

    any_size: ClassVar[bool] = True
    joint: bool = False

    @property
    def name(self) -> str:
        """``static_attention``, or the same with ``_joint``."""
        return "static_attention_joint" if self.joint else "static_attention"

    def match(self, module: nn.Module) -> bool:
        """Self-attention in its natural form."""
        return isinstance(module, SelfAttention)

    def check(self, module: SelfAttention, x: Tensor, target: TargetFacts) -> _Plan | Refusal:
        """Refuse batches."""
        del target
        if x.shape[0] != 1:
            return Refusal(f"its form of rank 3 spends the batch axis; it takes one image, not {x.shape[0]}")
        return _Plan(module.head_dim**-0.5)

    def replace(self, module: SelfAttention, plan: _Plan) -> nn.Module:
        """Build the static module with the same weights."""
        scales = torch.ones(3, module.proj.out_features, dtype=torch.float64)
        scales[0] = plan.scale
        qkv = _linear(module.qkv.weight, module.qkv.bias, scales.reshape(-1))
        if self.joint:
            return JointSelfAttention(qkv, module.proj, heads=module.heads)
        biases = (None,) * 3 if module.qkv.bias is None else qkv.bias.chunk(3)
        q, k, v = (_linear(weight, bias) for weight, bias in zip(qkv.weight.chunk(3), biases, strict=True))
        return StaticSelfAttention(q, k, v, module.proj, heads=module.heads)


def _linear(weight: Tensor, bias: Tensor | None, scale: Tensor | None = None) -> nn.Linear:
    """Return a linear layer with copies of ``(out, in)`` and ``(out,)``, their rows scaled."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    layer.weight = nn.Parameter(_scaled(weight, scale))
    if bias is not None:
        layer.bias = nn.Parameter(_scaled(bias, scale))
    return layer


def _scaled(value: Tensor, scale: Tensor | None) -> Tensor:
    if scale is None:
        return value.detach().clone(memory_format=torch.contiguous_format)
    return (value.detach().double() * scale.reshape(-1, *[1] * (value.dim() - 1))).to(value.dtype)
