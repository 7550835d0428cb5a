"""Layer norm's scale and shift -> into the projections that read it.

    before   y_i = proj_i(move(g * normalise(x) + b))          after   y_i = proj_i'(move(normalise(x)))

``move`` is any chain of permutes and means over other axes than the channels: both commute with an affine map per
channel. EMOv2's pre-norms reach their 1x1 convolutions through a permute, its last norm the head through a mean.

Where zeros are padded in between, the scale still goes through and the shift stays in front of the padding:

    before   proj(pad(g * normalise(x) + b))                   after   proj'(pad(normalise(x) + b / g))

Exact in real arithmetic. Folding the shift there too would be wrong (a padded zero would have to become ``-b / g``; the error was 0.58).
"""

from typing import Any

import torch
from attrs import frozen
from torch import Tensor, fx

from edgekit.capabilities import TargetFacts
from edgekit.rewrites.base import Refusal
from edgekit.rewrites.convolution import Projection, insert_projection, read_projection, scale_inputs
from edgekit.rewrites.graph import ProgramEditor, argument, is_call, shape_of, site_of

LAYER_NORM = torch.ops.aten.layer_norm.default
_PERMUTE = torch.ops.aten.permute.default
_MEAN = torch.ops.aten.mean.dim
_PAD = torch.ops.aten.pad.default

_SMALLEST_SCALE = 1e-3
"""Below this share of its largest value a scale is too close to zero to divide the shift by."""


@frozen
class _Step:
    """An operator on the way, and where the channels stand in its input."""

    node: fx.Node
    axis: int


@frozen
class _Reader:
    """A projection, and the permutes, means and paddings on the way to it from the norm, in order."""

    projection: Projection
    way: tuple[_Step, ...]

    @property
    def padded(self) -> bool:
        """Whether zeros come in on the way."""
        return any(is_call(step.node, _PAD) for step in self.way)


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
        if weight is not None and bias is not None and any(reader.padded for reader in readers):
            magnitude = weight.abs()
            if float(magnitude.min()) < _SMALLEST_SCALE * float(magnitude.max()):
                return Refusal("zeros are padded behind it, and one of its scales is too close to zero to divide the shift by")
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
                if step.node not in new:
                    source = new[argument(step.node, 0, "input")]
                    if is_call(step.node, _PAD) and bool(plan.shift.any()):
                        source = _shifted(source, step, plan, editor)
                    operator: Any = step.node.target
                    new[step.node] = editor.call(operator, source, *step.node.args[1:], before=step.node, **step.node.kwargs)
            p = reader.projection
            shift = torch.zeros_like(plan.shift) if reader.padded else plan.shift
            weight, bias = scale_inputs(p, plan.scale, shift)
            kept = None if p.bias is None and reader.padded else bias
            pairs.append((p.node, insert_projection(editor, p, before=p.node, x=new[p.x], weight=weight, bias=kept)))
        return pairs


def _shifted(source: fx.Node, step: _Step, plan: _Plan, editor: ProgramEditor) -> fx.Node:
    """Add ``shift / scale`` to the bare norm's value in front of a padding."""
    shape = [1] * len(shape_of(source))
    shape[step.axis] = -1
    shift = (plan.shift.double() / plan.scale.double()).to(plan.shift.dtype).reshape(shape)
    constant = editor.add_constant(f"{site_of(step.node)}.shift", shift)
    return editor.call(torch.ops.aten.add.Tensor, source, constant, before=step.node)


def _reached(node: fx.Node, way: tuple[_Step, ...], channel_axis: int, editor: ProgramEditor) -> list[_Reader] | Refusal:
    """Follow every reader through permutes, means and padding to its projection; ``channel_axis`` is where the channels stand."""
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
        further = _reached(user, (*way, _Step(user, channel_axis)), axis, editor)
        if isinstance(further, Refusal):
            return further
        found.extend(further)
    return found


def _moved(user: fx.Node, axis: int, rank: int) -> int | None:
    """Return where the channel axis stands after a permute, or a mean or padding of other axes; ``None`` after all else."""
    if is_call(user, _PERMUTE):
        order = argument(user, 1, "dims")
        return [d % rank for d in order].index(axis)
    if is_call(user, _MEAN):
        dims = {d % rank for d in argument(user, 1, "dim")}
        if axis in dims:
            return None
        return axis if argument(user, 2, "keepdim", default=False) else axis - sum(d < axis for d in dims)
    if is_call(user, _PAD) and argument(user, 2, "mode", "constant") == "constant" and not argument(user, 3, "value"):
        first = 2 * (rank - 1 - axis)  # amounts run from the last axis backwards, two each
        return None if any(argument(user, 1, "pad")[first : first + 2]) else axis
    return None
