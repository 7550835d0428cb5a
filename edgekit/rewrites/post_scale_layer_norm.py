"""Layer norm before 1x1 convolutions -> the scaling after them.

    before   y_i = W_i normalise(x) + b_i            normalise(x) = (x - mean) * r,  r = 1 / sqrt(var + eps)
    after    y_i = r * (W_i (I - 11^T / C) x) + b_i

The centring becomes part of the weights, and one factor a position remains. Exact in real arithmetic where nothing
pads between the norm and the convolutions. Matches norms whose own scale and shift have been folded already.
"""

import torch
from attrs import frozen
from torch import fx

from edgekit.capabilities import TargetFacts
from edgekit.rewrites.base import Refusal
from edgekit.rewrites.channel_norm import ChannelNorm, match_channel_norm
from edgekit.rewrites.convolution import Projection, insert_projection, read_projection
from edgekit.rewrites.graph import ProgramEditor
from edgekit.rewrites.layer_norm_as_convs import insert_centre_and_deviation


@frozen
class _Plan:
    norm: ChannelNorm
    projections: tuple[Projection, ...]


class PostScaleLayerNorm:
    """Move a layer norm's centring into the convolutions behind it and its scaling after them."""

    name = "post_scale_layer_norm"

    def match(self, node: fx.Node, editor: ProgramEditor) -> bool:
        """The permute back behind a layer norm over channels."""
        return match_channel_norm(node, editor) is not None

    def check(self, node: fx.Node, editor: ProgramEditor, target: TargetFacts) -> _Plan | Refusal:
        """Refuse norms with their own scale, and readers other than plain 1x1 convolutions."""
        del target
        norm = match_channel_norm(node, editor)
        if norm is None:
            return Refusal("not a layer norm over channels")
        if norm.weight is not None or norm.bias is not None:
            return Refusal("its scale and shift could not be folded, so they would have to be applied between")
        projections = []
        for user in node.users:
            projection = read_projection(user, editor)
            if isinstance(projection, Refusal):
                return projection
            if projection is None or not projection.pointwise or projection.channel_axis != -3:
                return Refusal(f"{user.name} reads the normalised map and is no plain 1x1 convolution")
            projections.append(projection)
        return _Plan(norm, tuple(projections))

    def replace(self, node: fx.Node, plan: _Plan, editor: ProgramEditor) -> list[tuple[fx.Node, fx.Node]]:
        """Give every reader centred weights and scale its result."""
        _, inverse_deviation = insert_centre_and_deviation(node, plan.norm, editor)
        pairs = []
        for p in plan.projections:
            weight = p.weight.double()
            centred = weight - weight.mean(dim=1, keepdim=True)
            raw = insert_projection(editor, p, before=p.node, x=plan.norm.x, weight=centred, bias=None)
            out = editor.call(torch.ops.aten.mul.Tensor, raw, inverse_deviation, before=p.node)
            if p.bias is not None:
                bias = editor.add_constant(p.name.removesuffix("weight") + "bias", p.bias.reshape(1, -1, 1, 1))
                out = editor.call(torch.ops.aten.add.Tensor, out, bias, before=p.node)
            pairs.append((p.node, out))
        return pairs
