"""Layer norm over the channels of a map -> two 1x1 convolutions and a square root.

    before   x (B, C, H, W) -> permute -> layer_norm(C) -> permute
    after    c = x - conv(x, 1^T / C)      v = conv(c * c, 1^T / C) + eps      c * rsqrt(v)  [* g + b]

Both convolutions have one output channel and the same weights. Exact in real arithmetic, for any map. Runtimes whose
delegate takes convolutions but no layer norm and no mean over channels keep the whole network in one piece this way.
"""

import torch
from torch import Tensor, fx

from edgekit.capabilities import TargetFacts
from edgekit.rewrites.base import Refusal
from edgekit.rewrites.channel_norm import ChannelNorm, match_channel_norm
from edgekit.rewrites.convolution import CONV
from edgekit.rewrites.graph import ProgramEditor


class LayerNormAsConvs:
    """Spell a channels-first layer norm with convolutions."""

    name = "layer_norm_as_convs"

    def match(self, node: fx.Node, editor: ProgramEditor) -> bool:
        """The permute back behind a layer norm over channels."""
        return match_channel_norm(node, editor) is not None

    def check(self, node: fx.Node, editor: ProgramEditor, target: TargetFacts) -> ChannelNorm | Refusal:
        """Refuse a scale or shift that is not constant."""
        del target
        return match_channel_norm(node, editor) or Refusal("not a layer norm over channels")

    def replace(self, node: fx.Node, plan: ChannelNorm, editor: ProgramEditor) -> list[tuple[fx.Node, fx.Node]]:
        """Insert the convolutions."""
        centred, inverse_deviation = insert_centre_and_deviation(node, plan, editor)
        out = editor.call(torch.ops.aten.mul.Tensor, centred, inverse_deviation, before=node)
        if plan.weight is not None:
            out = editor.call(torch.ops.aten.mul.Tensor, out, _per_channel(editor, f"{plan.site}.scale", plan.weight), before=node)
        if plan.bias is not None:
            out = editor.call(torch.ops.aten.add.Tensor, out, _per_channel(editor, f"{plan.site}.shift", plan.bias), before=node)
        return [(node, out)]


def insert_centre_and_deviation(node: fx.Node, norm: ChannelNorm, editor: ProgramEditor) -> tuple[fx.Node, fx.Node]:
    """Add ``x - mean`` and ``1 / sqrt(var + eps)``, their averages as 1x1 convolutions, before a node."""
    dtype = norm.x.meta["val"].dtype
    average = editor.add_constant(f"{norm.site}.average", torch.full((1, norm.channels, 1, 1), 1.0 / norm.channels, dtype=dtype))
    eps = editor.add_constant(f"{norm.site}.eps", torch.tensor([norm.eps], dtype=dtype))
    mean = editor.call(CONV, norm.x, average, None, before=node)
    centred = editor.call(torch.ops.aten.sub.Tensor, norm.x, mean, before=node)
    squared = editor.call(torch.ops.aten.mul.Tensor, centred, centred, before=node)
    variance = editor.call(CONV, squared, average, eps, before=node)
    return centred, editor.call(torch.ops.aten.rsqrt.default, variance, before=node)


def _per_channel(editor: ProgramEditor, name: str, value: Tensor) -> fx.Node:
    return editor.add_constant(name, value.reshape(1, -1, 1, 1))
