"""Batch normalisation followed by convolutions -> convolutions.

    before   y_i = conv(batch_norm(x), W_i, b_i)          after   y_i = conv(x, W_i s, b_i + W_i t)

with ``s`` and ``t`` per input channel. Exact when none of the convolutions pads: a padded zero comes after the
normalisation, and moving the shift behind it would turn it into something else. EMOv2's stages 1 and 2 have
such a pre-norm in every block.
"""

from attrs import frozen
from torch import Tensor, fx

from edgekit.capabilities import TargetFacts
from edgekit.rewrites.base import Refusal
from edgekit.rewrites.batch_norm import BATCH_NORM, read_batch_norm
from edgekit.rewrites.convolution import Projection, insert_projection, read_projection, scale_inputs
from edgekit.rewrites.graph import ProgramEditor, argument, is_call, shape_of


@frozen
class _Plan:
    projections: tuple[Projection, ...]
    scale: Tensor
    shift: Tensor


class FoldBatchNormForward:
    """Fold batch normalisation into the convolutions or linear layers that read it."""

    name = "fold_batch_norm_forward"

    def match(self, node: fx.Node, editor: ProgramEditor) -> bool:
        """A batch normalisation that some projection reads."""
        return is_call(node, BATCH_NORM) and any(read_projection(user, editor) is not None for user in node.users)

    def check(self, node: fx.Node, editor: ProgramEditor, target: TargetFacts) -> _Plan | Refusal:
        """Refuse where a reader is no projection, reads another axis, pads, or has weights that are not constant."""
        del target
        projections = []
        for user in node.users:
            projection = read_projection(user, editor)
            if isinstance(projection, Refusal):
                return projection
            if projection is None or projection.x is not node:
                return Refusal(f"{user.name} reads the normalised value too, and is no convolution it could be folded into")
            if len(shape_of(node)) + projection.channel_axis != 1:
                return Refusal(f"{projection.name} reads another axis than the one that is normalised")
            if projection.padding != (0, 0):
                return Refusal(f"{projection.name} pads with zeros behind the normalisation; folding the shift would change the border")
            projections.append(projection)
        affine = read_batch_norm(node, editor)
        return affine if isinstance(affine, Refusal) else _Plan(tuple(projections), *affine)

    def replace(self, node: fx.Node, plan: _Plan, editor: ProgramEditor) -> list[tuple[fx.Node, fx.Node]]:
        """Insert one projection with scaled weights for each reader."""
        source = argument(node, 0, "input")
        pairs = []
        for p in plan.projections:
            weight, bias = scale_inputs(p, plan.scale, plan.shift)
            pairs.append((p.node, insert_projection(editor, p, before=p.node, x=source, weight=weight, bias=bias)))
        return pairs
