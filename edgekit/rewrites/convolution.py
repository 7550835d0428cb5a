"""Reading and rebuilding convolutions and linear layers whose weights are known; shared by the folding rewrites."""

from typing import Any

import torch
from attrs import frozen
from torch import Tensor, fx

from edgekit.rewrites.base import Refusal
from edgekit.rewrites.graph import ProgramEditor, argument, is_call

CONV = torch.ops.aten.conv2d.default
LINEAR = torch.ops.aten.linear.default


@frozen(kw_only=True)
class Projection:
    """A ``conv2d`` or ``linear`` node taken apart. ``weight`` is ``(out, in / groups, ...)``, ``bias`` ``(out,)`` or ``None``."""

    node: fx.Node
    x: fx.Node
    weight: Tensor
    bias: Tensor | None
    name: str
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int

    @property
    def kernel(self) -> tuple[int, ...]:
        """Kernel height and width; empty for a linear layer."""
        return tuple(self.weight.shape[2:])

    @property
    def channel_axis(self) -> int:
        """Where the channels stand in what it reads and in what it returns, counted from the end (-1 or -3)."""
        return -1 if is_call(self.node, LINEAR) else -3

    @property
    def pointwise(self) -> bool:
        """Whether each output position depends on the same input position only, densely over channels."""
        return self.groups == 1 and all(k == 1 for k in self.kernel) and self.stride == (1, 1) and self.padding == (0, 0)


def read_projection(node: Any, editor: ProgramEditor) -> Projection | Refusal | None:
    """Take a node apart: a :class:`Projection`, why it cannot be, or ``None`` if it is something else."""
    if not is_call(node, CONV, LINEAR):
        return None
    weight = editor.constant(argument(node, 1, "weight"))
    bias_node = argument(node, 2, "bias")
    bias = editor.constant(bias_node)
    if weight is None or (bias_node is not None and bias is None):
        return Refusal("the weight is computed while the model runs; only a constant one can be folded")
    linear = is_call(node, LINEAR)

    def pair(position: int, name: str, default: int) -> tuple[int, int]:
        value = (default, default) if linear else argument(node, position, name, [default, default])
        return (value[0], value[-1])

    return Projection(
        node=node,
        x=argument(node, 0, "input"),
        weight=weight,
        bias=bias,
        name=editor.name_of(argument(node, 1, "weight")),
        stride=pair(3, "stride", 1),
        padding=pair(4, "padding", 0),
        dilation=pair(5, "dilation", 1),
        groups=1 if linear else argument(node, 6, "groups", 1),
    )


def insert_projection(editor: ProgramEditor, like: Projection, *, before: fx.Node, x: fx.Node, weight: Tensor, bias: Tensor | None) -> fx.Node:
    """Add a projection with new weights and otherwise the geometry of ``like``; float64 weights are rounded once, here."""
    dtype = like.weight.dtype
    weight_node = editor.add_constant(like.name, weight.to(dtype))
    bias_node = None if bias is None else editor.add_constant(like.name.removesuffix("weight") + "bias", bias.to(dtype))
    if is_call(like.node, LINEAR):
        return editor.call(LINEAR, x, weight_node, bias_node, before=before)
    return editor.call(CONV, x, weight_node, bias_node, list(like.stride), list(like.padding), list(like.dilation), like.groups, before=before)


def scale_outputs(p: Projection, scale: Tensor, shift: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Return float64 weight and bias of ``scale * p(x) + shift``; scale and shift are per output channel."""
    weight = p.weight.double() * scale.double().reshape(-1, *[1] * (p.weight.dim() - 1))
    if p.bias is None and shift is None:
        return weight, None
    bias = torch.zeros(p.weight.shape[0], dtype=torch.float64) if p.bias is None else p.bias.double() * scale.double()
    return weight, bias if shift is None else bias + shift.double()


def scale_inputs(p: Projection, scale: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
    """Return float64 weight and bias of ``p(scale * x + shift)``; scale and shift are per input channel, nothing is padded."""
    per_group = p.weight.shape[1]
    out_channels = p.weight.shape[0]
    # Input channels seen by each output channel: its group's slice.
    index = torch.arange(out_channels) // (out_channels // p.groups)
    shape = (out_channels, per_group, *[1] * (p.weight.dim() - 2))
    scales = scale.double().reshape(p.groups, per_group)[index].reshape(shape)
    shifts = shift.double().reshape(p.groups, per_group)[index].reshape(shape)
    weight = p.weight.double()
    bias = (weight * shifts).flatten(1).sum(1)
    return weight * scales, bias if p.bias is None else bias + p.bias.double()
