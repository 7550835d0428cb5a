"""Convolution followed by batch normalisation -> convolution.

    before   y = batch_norm(conv(x, W, b))          after   y = conv(x, s W, s b + t)

with ``s = gamma / sqrt(var + eps)`` and ``t = beta - s mean``, per output channel. Exact for inference mode;
padding does not matter, since the normalisation comes after the convolution.
"""

from attrs import frozen
from torch import Tensor, fx

from edgekit.capabilities import TargetFacts
from edgekit.rewrites.base import Refusal
from edgekit.rewrites.batch_norm import BATCH_NORM, read_batch_norm
from edgekit.rewrites.convolution import Projection, insert_projection, read_projection, scale_outputs
from edgekit.rewrites.graph import ProgramEditor, is_call, shape_of


@frozen
class _Plan:
    projection: Projection
    scale: Tensor
    shift: Tensor


class FoldBatchNorm:
    """Fold batch normalisation into the convolution or linear layer before it."""

    name = "fold_batch_norm"

    def match(self, node: fx.Node, editor: ProgramEditor) -> bool:
        """A batch normalisation whose input is a projection."""
        return is_call(node, BATCH_NORM) and read_projection(node.args[0], editor) is not None

    def check(self, node: fx.Node, editor: ProgramEditor, target: TargetFacts) -> _Plan | Refusal:
        """Refuse training mode, weights that are not constant, other axes, and a convolution that others read too."""
        del target
        projection = read_projection(node.args[0], editor)
        if not isinstance(projection, Projection):
            return projection or Refusal("not a projection")
        affine = read_batch_norm(node, editor)
        if isinstance(affine, Refusal):
            return affine
        if len(shape_of(node)) + projection.channel_axis != 1:
            return Refusal(f"the normalisation runs over another axis than the outputs of {projection.name}")
        if len(projection.node.users) > 1:
            return Refusal(f"{projection.name} is also read without the normalisation, so it would have to be computed twice")
        return _Plan(projection, *affine)

    def replace(self, node: fx.Node, plan: _Plan, editor: ProgramEditor) -> list[tuple[fx.Node, fx.Node]]:
        """Insert one convolution with scaled weights."""
        weight, bias = scale_outputs(plan.projection, plan.scale, plan.shift)
        return [(node, insert_projection(editor, plan.projection, before=node, x=plan.projection.x, weight=weight, bias=bias))]
