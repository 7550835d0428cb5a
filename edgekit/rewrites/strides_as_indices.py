"""Overlapping windows that strides describe -> their places, as constants.

    before   w = x.unfold(axis, size, step)            w (..., n, ..., size)
    after    w = index_select(x, axis, [0, 1, ..., size - 1, step, ...]), its n * size values split, the windows' own axis last

    before   w = as_strided(x, sizes, strides, offset)
    after    w = index_select(flattened x, 0, the place of every value), in the shape of w

Exact: values are copied. Windows that do not overlap and leave nothing out are a reshape. Core ML Tools and Core AI know neither, LiteRT's converter
stops at the first. A stride counts in memory, which a target orders as it likes: x has to lie there as its shape says.
"""

import math
from typing import Any

import torch
from attrs import frozen
from torch import Tensor, fx

from edgekit.capabilities import TargetFacts
from edgekit.rewrites.base import Refusal
from edgekit.rewrites.graph import ProgramEditor, argument, is_call, shape_of

_ATEN = torch.ops.aten
_MOST = 2**20
"""Places in a constant; 8 MB."""


@frozen
class _Plan:
    """Take ``places`` along ``axis`` of x in this ``shape``, bring it to shape ``split``, then its axes into this order."""

    shape: tuple[int, ...]
    axis: int
    places: Tensor | None
    split: tuple[int, ...]
    order: tuple[int, ...]


class StridesAsIndices:
    """Take windows by constant places."""

    name = "strides_as_indices"

    def match(self, node: fx.Node, editor: ProgramEditor) -> bool:
        """An unfold of an axis, or an as_strided."""
        del editor
        return is_call(node, _ATEN.unfold.default, _ATEN.as_strided.default)

    def check(self, node: fx.Node, editor: ProgramEditor, target: TargetFacts) -> _Plan | Refusal:
        """Refuse values that lie otherwise in memory than their shape says, and large constants."""
        del editor, target
        plan = _of_unfold(node) if is_call(node, _ATEN.unfold.default) else _of_strides(node)
        if isinstance(plan, _Plan) and plan.places is not None and plan.places.numel() > _MOST:
            return Refusal(f"it takes {plan.places.numel()} places; up to {_MOST} it is done")
        return plan

    def replace(self, node: fx.Node, plan: _Plan, editor: ProgramEditor) -> list[tuple[fx.Node, fx.Node]]:
        """Insert the selection and the reshapes around it."""
        x: fx.Node = argument(node, 0, "self")
        if shape_of(x) != plan.shape:
            x = editor.call(_ATEN.reshape.default, x, list(plan.shape), before=node)
        if plan.places is not None:
            places = editor.add_constant(f"{node.name}_places", plan.places)
            x = editor.call(_ATEN.index_select.default, x, plan.axis, places, before=node)
        x = editor.call(_ATEN.reshape.default, x, list(plan.split), before=node)
        if plan.order != tuple(range(len(plan.split))):
            x = editor.call(_ATEN.permute.default, x, list(plan.order), before=node)
        return [(node, x)]


def _of_unfold(node: fx.Node) -> _Plan | Refusal:
    shape = shape_of(argument(node, 0, "self"))
    if not shape:
        return Refusal("it unfolds a single number, which has no axis")
    axis, size, step = argument(node, 1, "dimension") % len(shape), argument(node, 2, "size"), argument(node, 3, "step")
    count = (shape[axis] - size) // step + 1
    apart = size == step and count * size == shape[axis]
    places = None if apart else (torch.arange(count)[:, None] * step + torch.arange(size)).flatten()
    split = (*shape[:axis], count, size, *shape[axis + 1 :])
    order = [place for place in range(len(split)) if place != axis + 1]
    return _Plan(shape, axis, places, split, (*order, axis + 1))


def _of_strides(node: fx.Node) -> _Plan | Refusal:
    value: Any = argument(node, 0, "self").meta["val"]
    if not value.is_contiguous() or value.storage_offset() or value.untyped_storage().nbytes() != value.numel() * value.element_size():
        return Refusal("it counts in memory, where the values before it lie otherwise than their shape says")
    sizes, strides = argument(node, 1, "size"), argument(node, 2, "stride")
    if math.prod(sizes) > _MOST:
        return Refusal(f"it takes {math.prod(sizes)} places; up to {_MOST} it is done")
    places = torch.full((), argument(node, 3, "storage_offset") or 0, dtype=torch.int64)
    for size, stride in zip(sizes, strides, strict=True):
        places = places[..., None] + torch.arange(size) * stride
    return _Plan((value.numel(),), 0, places.flatten(), tuple(sizes), tuple(range(len(sizes))))
