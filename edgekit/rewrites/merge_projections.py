"""Two linear maps in a row -> one.

    before   y = conv1x1(conv(x, W1, b1), W2, b2)          after   y = conv(x, W2 W1, W2 b1 + b2)

Exact when the second is pointwise (1x1, stride 1, no padding). Done only when the product costs no more than
the pair. In EMOv2 the stem ends with a 1x1 convolution, and stage1.0 starts with one and has no skip around it.
"""

import torch
from attrs import frozen
from torch import fx

from edgekit.capabilities import TargetFacts
from edgekit.rewrites.base import Refusal
from edgekit.rewrites.convolution import CONV, Projection, insert_projection, read_projection
from edgekit.rewrites.graph import ProgramEditor, is_call


@frozen
class _Plan:
    first: Projection
    second: Projection


class MergeProjections:
    """Merge a 1x1 convolution into the dense convolution whose result only it reads."""

    name = "merge_projections"

    def match(self, node: fx.Node, editor: ProgramEditor) -> bool:
        """A convolution of a convolution."""
        return is_call(node, CONV) and is_call(node.args[0], CONV) and editor.constant(node.args[1]) is not None

    def check(self, node: fx.Node, editor: ProgramEditor, target: TargetFacts) -> _Plan | Refusal:
        """Refuse kernels that cannot be merged, results read elsewhere, and merges that would cost more."""
        del target
        first, second = read_projection(node.args[0], editor), read_projection(node, editor)
        for part in (first, second):
            if isinstance(part, Refusal):
                return part
        if not isinstance(first, Projection) or not isinstance(second, Projection):
            return Refusal("not a convolution of a convolution")
        if not second.pointwise:
            return Refusal(f"{second.name} is no plain 1x1 convolution")
        if first.groups != 1:
            return Refusal(f"{first.name} is grouped; the merged convolution would be dense and cost more")
        if len(first.node.users) > 1:
            return Refusal(f"the result of {first.name} is read elsewhere too")
        merged = second.weight.shape[0] * first.weight[0].numel()
        if merged > first.weight.numel() + second.weight.numel():
            return Refusal(f"the merged weight would have {merged} values, the two have {first.weight.numel() + second.weight.numel()}")
        return _Plan(first, second)

    def replace(self, node: fx.Node, plan: _Plan, editor: ProgramEditor) -> list[tuple[fx.Node, fx.Node]]:
        """Insert one convolution with the product of the weights."""
        first, second = plan.first, plan.second
        outer = second.weight.double().flatten(1)
        weight = torch.einsum("om,mikl->oikl", outer, first.weight.double())
        bias = second.bias.double() if second.bias is not None else None
        if first.bias is not None:
            inner = outer @ first.bias.double()
            bias = inner if bias is None else bias + inner
        return [(node, insert_projection(editor, first, before=node, x=first.x, weight=weight, bias=bias))]
