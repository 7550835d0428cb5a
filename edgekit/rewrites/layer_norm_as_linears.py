"""Layer norm over the last axis of tokens -> two linear layers with one output, and a square root.

    before   y = layer_norm(x (..., T, C)) [* g + b]
    after    c = x - linear(x, 1^T / C)      v = linear(c * c, 1^T / C, eps)      y = c * rsqrt(v) [* g + b]

Exact in real arithmetic. What ``layer_norm_as_convs`` is for maps with channels first: a delegate that takes linear layers, but
neither layer norms nor means over the last axis, keeps a network of tokens in one piece this way.
"""

import torch
from attrs import frozen
from torch import fx

from edgekit.capabilities import TargetFacts
from edgekit.rewrites.base import Refusal
from edgekit.rewrites.convolution import LINEAR
from edgekit.rewrites.graph import ProgramEditor, argument, is_call, shape_of

_LAYER_NORM = torch.ops.aten.layer_norm.default
_MUL = torch.ops.aten.mul.Tensor


@frozen
class _Plan:
    x: fx.Node
    channels: int
    eps: float
    scale: fx.Node | None
    shift: fx.Node | None


class LayerNormAsLinears:
    """Spell a layer norm over the last axis with linear layers."""

    name = "layer_norm_as_linears"

    def match(self, node: fx.Node, editor: ProgramEditor) -> bool:
        """Any layer norm."""
        del editor
        return is_call(node, _LAYER_NORM)

    def check(self, node: fx.Node, editor: ProgramEditor, target: TargetFacts) -> _Plan | Refusal:
        """Refuse norms over several axes."""
        del editor, target
        x = argument(node, 0, "input")
        axes = len(argument(node, 1, "normalized_shape"))
        if axes != 1:
            return Refusal(f"it normalises over {axes} axes, not over the last alone")
        return _Plan(x, shape_of(x)[-1], argument(node, 4, "eps", 1e-5), argument(node, 2, "weight"), argument(node, 3, "bias"))

    def replace(self, node: fx.Node, plan: _Plan, editor: ProgramEditor) -> list[tuple[fx.Node, fx.Node]]:
        """Insert the operators; all norms of one width share their constants."""
        dtype = plan.x.meta["val"].dtype
        average = editor.add_constant(f"average_of_{plan.channels}", torch.full((1, plan.channels), 1.0 / plan.channels, dtype=dtype))
        eps = editor.add_constant("layer_norm_eps", torch.tensor([plan.eps], dtype=dtype))
        centred = editor.call(torch.ops.aten.sub.Tensor, plan.x, editor.call(LINEAR, plan.x, average, None, before=node), before=node)
        variance = editor.call(LINEAR, editor.call(_MUL, centred, centred, before=node), average, eps, before=node)
        out = editor.call(_MUL, centred, editor.call(torch.ops.aten.rsqrt.default, variance, before=node), before=node)
        if plan.scale is not None:
            out = editor.call(_MUL, out, plan.scale, before=node)
        if plan.shift is not None:
            out = editor.call(torch.ops.aten.add.Tensor, out, plan.shift, before=node)
        return [(node, out)]
