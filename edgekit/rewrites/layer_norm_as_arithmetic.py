"""Layer norm over the last axis -> means, differences and a square root that keep their axes.

    before   y = layer_norm(x (..., C)) [* g + b]
    after    c = x - mean(x)      v = mean(c * c)      y = c * rsqrt(v + eps) [* g + b]          means over C, (..., 1)

Exact in real arithmetic. LiteRT's converter writes a layer norm as these operators anyway, but with means that drop
their axis and reshapes that bring it back.
"""

import torch
from attrs import frozen
from torch import fx

from edgekit.capabilities import TargetFacts
from edgekit.rewrites.base import Refusal
from edgekit.rewrites.graph import ProgramEditor, argument, is_call

_LAYER_NORM = torch.ops.aten.layer_norm.default
_MEAN = torch.ops.aten.mean.dim
_MUL = torch.ops.aten.mul.Tensor
_ADD = torch.ops.aten.add.Tensor


@frozen
class _Plan:
    x: fx.Node
    eps: float
    scale: fx.Node | None
    shift: fx.Node | None


class LayerNormAsArithmetic:
    """Spell a layer norm over the last axis with elementary operators."""

    name = "layer_norm_as_arithmetic"

    def match(self, node: fx.Node, editor: ProgramEditor) -> bool:
        """Any layer norm."""
        del editor
        return is_call(node, _LAYER_NORM)

    def check(self, node: fx.Node, editor: ProgramEditor, target: TargetFacts) -> _Plan | Refusal:
        """Refuse norms over several axes."""
        del editor, target
        axes = len(argument(node, 1, "normalized_shape"))
        if axes != 1:
            return Refusal(f"it normalises over {axes} axes, not over the last alone")
        return _Plan(argument(node, 0, "input"), argument(node, 4, "eps", 1e-5), argument(node, 2, "weight"), argument(node, 3, "bias"))

    def replace(self, node: fx.Node, plan: _Plan, editor: ProgramEditor) -> list[tuple[fx.Node, fx.Node]]:
        """Insert the operators."""
        mean = editor.call(_MEAN, plan.x, [-1], True, before=node)
        centred = editor.call(torch.ops.aten.sub.Tensor, plan.x, mean, before=node)
        squared = editor.call(_MUL, centred, centred, before=node)
        variance = editor.call(_MEAN, squared, [-1], True, before=node)
        deviation = editor.call(torch.ops.aten.rsqrt.default, editor.call(_ADD, variance, plan.eps, before=node), before=node)
        out = editor.call(_MUL, centred, deviation, before=node)
        if plan.scale is not None:
            out = editor.call(_MUL, out, plan.scale, before=node)
        if plan.shift is not None:
            out = editor.call(_ADD, out, plan.shift, before=node)
        return [(node, out)]
