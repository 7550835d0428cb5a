"""Convolution times a constant per channel -> convolution.

    before   y = gamma * conv(x, W, b)          after   y = conv(x, gamma W, gamma b)

``gamma`` is a number or a constant of one value a channel, on either side of the product: EMOv2's LayerScale
behind every projection. Always exact.
"""

import math

import torch
from attrs import frozen
from torch import Tensor, fx

from edgekit.capabilities import TargetFacts
from edgekit.rewrites.base import Refusal
from edgekit.rewrites.convolution import Projection, insert_projection, read_projection, scale_outputs
from edgekit.rewrites.graph import ProgramEditor, is_call, shape_of

_MUL = torch.ops.aten.mul.Tensor


@frozen
class _Plan:
    projection: Projection
    scale: Tensor


class FoldChannelScale:
    """Fold a constant factor per channel into the convolution or linear layer before it."""

    name = "fold_channel_scale"

    def match(self, node: fx.Node, editor: ProgramEditor) -> bool:
        """A product of a projection and a constant."""
        return is_call(node, _MUL) and _split(node, editor) is not None

    def check(self, node: fx.Node, editor: ProgramEditor, target: TargetFacts) -> _Plan | Refusal:
        """Refuse a factor that differs inside a channel or widens the result, and a projection that others read too."""
        del target
        parts = _split(node, editor)
        if parts is None:
            return Refusal("not a product of a projection and a constant")
        projection, factor = parts
        if isinstance(projection, Refusal):
            return projection
        channels = projection.weight.shape[0]
        axis = projection.channel_axis
        if factor.numel() != 1 and (factor.numel() != channels or factor.dim() < -axis or factor.shape[axis] != channels):
            return Refusal(f"the factor of shape {tuple(factor.shape)} is not one value for each of the {channels} channels")
        if shape_of(node) != shape_of(projection.node) or node.meta["val"].dtype != projection.weight.dtype:
            return Refusal(
                f"the factor, {factor.dtype} of shape {tuple(factor.shape)}, gives the product another shape or dtype than the projection's"
            )
        if len(projection.node.users) > 1:
            return Refusal(f"{projection.name} is also read without the factor, so it would have to be computed twice")
        return _Plan(projection, factor.flatten().expand(channels))

    def replace(self, node: fx.Node, plan: _Plan, editor: ProgramEditor) -> list[tuple[fx.Node, fx.Node]]:
        """Insert one projection with scaled weights."""
        weight, bias = scale_outputs(plan.projection, plan.scale, None)
        return [(node, insert_projection(editor, plan.projection, before=node, x=plan.projection.x, weight=weight, bias=bias))]


def _split(node: fx.Node, editor: ProgramEditor) -> tuple[Projection | Refusal, Tensor] | None:
    """Return the projection and the constant of a product, whichever side they stand on."""
    left, right = node.args[:2]
    for value, factor in ((left, right), (right, left)):
        projection = read_projection(value, editor)
        constant = (
            torch.tensor(float(factor), dtype=torch.float64)
            if isinstance(factor, (int, float)) and math.isfinite(factor)
            else editor.constant(factor)
        )
        if projection is not None and constant is not None:
            return projection, constant
    return None
