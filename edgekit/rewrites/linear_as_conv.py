"""Linear layer on a mean over rows and columns -> 1x1 convolution on a mean that keeps its axes.

    before   x (B, C, H, W)          y (B, C) = mean(x, (2, 3))                  out (B, O) = linear(y)
    or       x (B, H, W, C)          y (B, C) = mean(x, (1, 2))
    after    p (B, C, H, W)          y (B, C, 1, 1) = mean(p, (2, 3), keepdim)   out = reshape(conv2d(y, W (O, C, 1, 1)), (B, O))

Exact. ``p`` is ``x``, or its permutation. A 1x1 convolution is native to the Neural Engine, a linear layer may fall back:
https://github.com/apple/coreai-models/blob/main/skills/skills/model-authoring/references/neural_engine_rules.md
"""

import torch
from attrs import frozen
from torch import fx

from edgekit.capabilities import TargetFacts
from edgekit.rewrites.base import Refusal
from edgekit.rewrites.convolution import CONV, LINEAR, Projection, read_projection
from edgekit.rewrites.graph import ProgramEditor, argument, is_call, shape_of

_MEAN = torch.ops.aten.mean.dim
_RESHAPE = torch.ops.aten.reshape.default
_PERMUTE = torch.ops.aten.permute.default
_ROWS_AND_COLUMNS = {(2, 3): False, (1, 2): True}
"""Axes of the mean, and whether the channels stand last."""


@frozen(kw_only=True)
class _Plan:
    projection: Projection
    x: fx.Node
    channels_last: bool


class LinearAsConv:
    """Make a classifier after a global average a convolution."""

    name = "linear_as_conv"

    def match(self, node: fx.Node, editor: ProgramEditor) -> bool:
        """A linear layer that reads a mean of a map."""
        del editor
        if not is_call(node, LINEAR):
            return False
        mean = argument(node, 0, "input")
        return is_call(mean, _MEAN) and len(shape_of(argument(mean, 0, "input"))) == 4 and len(shape_of(mean)) == 2

    def check(self, node: fx.Node, editor: ProgramEditor, target: TargetFacts) -> _Plan | Refusal:
        """Refuse other axes, a mean that others read, and weights that are computed."""
        del target
        projection = read_projection(node, editor)
        if not isinstance(projection, Projection):
            return projection or Refusal("it is no linear layer")
        mean = projection.x
        axes = tuple(sorted(axis % 4 for axis in argument(mean, 1, "dim")))
        if axes not in _ROWS_AND_COLUMNS:
            return Refusal(f"it reads a mean over axes {list(axes)}, not over rows and columns")
        if len(mean.users) > 1 or mean.kwargs.get("dtype") is not None:
            return Refusal("the mean is read elsewhere too, or computed in a type of its own")
        return _Plan(projection=projection, x=argument(mean, 0, "input"), channels_last=_ROWS_AND_COLUMNS[axes])

    def replace(self, node: fx.Node, plan: _Plan, editor: ProgramEditor) -> list[tuple[fx.Node, fx.Node]]:
        """Insert permutation, mean, convolution and reshape."""
        p = plan.projection
        x = editor.call(_PERMUTE, plan.x, [0, 3, 1, 2], before=node) if plan.channels_last else plan.x
        pooled = editor.call(_MEAN, x, [2, 3], True, before=node)
        weight = editor.add_constant(p.name, p.weight[:, :, None, None])
        bias = None if p.bias is None else editor.add_constant(p.name.removesuffix("weight") + "bias", p.bias)
        convolved = editor.call(CONV, pooled, weight, bias, before=node)
        return [(node, editor.call(_RESHAPE, convolved, list(shape_of(node)), before=node))]
