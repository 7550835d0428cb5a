"""Layer norm's scale and shift -> into the projections that read it.

    before   y_i = proj_i(move(g * normalise(x) + b))          after   y_i = proj_i'(move(normalise(x)))

``move`` is any chain of permutes and means over other axes than the channels: both commute with an affine map per
channel. EMOv2's pre-norms reach their 1x1 convolutions through a permute, its last norm the head through a mean.
Exact when nothing pads in between: a padded zero would have to become ``-b / g`` (on a padded map the error was 0.58).
"""

from typing import Any

import torch
from attrs import frozen
from torch import Tensor, fx

from edgekit.capabilities import TargetFacts
from edgekit.rewrites.base import Refusal
from edgekit.rewrites.convolution import Projection, insert_projection, read_projection, scale_inputs
from edgekit.rewrites.graph import ProgramEditor, argument, is_call, shape_of

LAYER_NORM = torch.ops.aten.layer_norm.default
_PERMUTE = torch.ops.aten.permute.default
_MEAN = torch.ops.aten.mean.dim


@frozen
class _Reader:
    """A projection, and the permutes and means on the way to it from the norm, in order."""

    projection: Projection
    way: tuple[fx.Node, ...]


@frozen
class _Plan:
    readers: tuple[_Reader, ...]
    scale: Tensor
    shift: Tensor


class FoldLayerNormAffine:
    """Fold the scale and shift of a layer norm over channels into every projection it reaches."""

    name = "fold_layer_norm_affine"

    def match(self, node: fx.Node, editor: ProgramEditor) -> bool:
        """A layer norm that still has a scale or a shift."""
        del editor
        return is_call(node, LAYER_NORM) and any(argument(node, i, name) is not None for i, name in ((2, "weight"), (3, "bias")))

    def check(self, node: fx.Node, editor: ProgramEditor, target: TargetFacts) -> _Plan | Refusal:
        """Refuse norms over several axes, and readers that are no projection or pad first."""
        del target
        normalised = argument(node, 1, "normalized_shape")
        if len(normalised) != 1:
            return Refusal("it normalises over several axes, not over channels alone")
        size = normalised[0]
        weight_node, bias_node = argument(node, 2, "weight"), argument(node, 3, "bias")
        weight, bias = editor.constant(weight_node), editor.constant(bias_node)
        if (weight is None and weight_node is not None) or (bias is None and bias_node is not None):
            return Refusal("its scale or shift is computed while the model runs")
        readers = _reached(node, (), len(shape_of(node)) - 1, editor)
        if isinstance(readers, Refusal):
            return readers
        scale = torch.ones(size) if weight is None else weight
        shift = torch.zeros(size) if bias is None else bias
        return _Plan(tuple(readers), scale, shift)

    def replace(self, node: fx.Node, plan: _Plan, editor: ProgramEditor) -> list[tuple[fx.Node, fx.Node]]:
        """Build a norm without scale and shift, the ways from it, and readers with adapted weights."""
        bare = editor.call(LAYER_NORM, node.args[0], node.args[1], None, None, argument(node, 4, "eps", 1e-5), before=node)
        # Values on the way change, so the way is laid anew: every old node keeps its value or goes.
        new: dict[fx.Node, fx.Node] = {node: bare}
        pairs = []
        for reader in plan.readers:
            for step in reader.way:
                if step not in new:
                    operator: Any = step.target
                    new[step] = editor.call(operator, new[argument(step, 0, "input")], *step.args[1:], before=step, **step.kwargs)
            p = reader.projection
            weight, bias = scale_inputs(p, plan.scale, plan.shift)
            pairs.append((p.node, insert_projection(editor, p, before=p.node, x=new[p.x], weight=weight, bias=bias)))
        return pairs


def _reached(node: fx.Node, way: tuple[fx.Node, ...], channel_axis: int, editor: ProgramEditor) -> list[_Reader] | Refusal:
    """Follow every reader through permutes and means to its projection; ``channel_axis`` is where the channels stand."""
    found: list[_Reader] = []
    rank = len(shape_of(node))
    for user in node.users:
        projection = read_projection(user, editor)
        if isinstance(projection, Refusal):
            return projection
        if projection is not None:
            if projection.x is not node or channel_axis != rank + projection.channel_axis:
                return Refusal(f"{projection.name} does not read the normalised channels as its inputs")
            if projection.padding != (0, 0):
                return Refusal(f"{projection.name} pads with zeros behind the norm; folding the shift would change the border")
            found.append(_Reader(projection, way))
            continue
        axis = _moved(user, channel_axis, rank)
        if axis is None:
            return Refusal(f"{user.name} stands between the norm and the projection, and does not commute with a scale per channel")
        further = _reached(user, (*way, user), axis, editor)
        if isinstance(further, Refusal):
            return further
        found.extend(further)
    return found


def _moved(user: fx.Node, axis: int, rank: int) -> int | None:
    """Return where the channel axis stands after a permute or a mean over other axes, ``None`` after anything else."""
    if is_call(user, _PERMUTE):
        order = argument(user, 1, "dims")
        return [d % rank for d in order].index(axis)
    if is_call(user, _MEAN):
        dims = {d % rank for d in argument(user, 1, "dim")}
        if axis in dims:
            return None
        return axis if argument(user, 2, "keepdim", default=False) else axis - sum(d < axis for d in dims)
    return None
