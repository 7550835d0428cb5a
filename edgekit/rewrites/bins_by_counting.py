"""The bin of a value among sorted borders -> how many of the borders it has passed.

    before   i = bucketize(x (...), borders (n,), right)        i = searchsorted(borders, x)
    after    i = sum over the borders b of not (b >= x)         right: not (b > x)                 (..., n)

Exact; a NaN is behind the last border, as in torch. No runtime but onnxruntime has either.
"""

import torch
from attrs import frozen
from torch import fx

from edgekit.capabilities import TargetFacts
from edgekit.rewrites.base import Refusal
from edgekit.rewrites.graph import ProgramEditor, argument, is_call, shape_of

_ATEN = torch.ops.aten
_MOST = 2**22
"""Comparisons at once; 16 MB where they become numbers."""


@frozen
class _Plan:
    """``borders``: one row of them, or as many as the values have."""

    values: fx.Node
    borders: fx.Node
    right: bool
    count: int


class BinsByCounting:
    """Find bins by comparing with every border."""

    name = "bins_by_counting"

    def match(self, node: fx.Node, editor: ProgramEditor) -> bool:
        """A bucketize or searchsorted of a tensor."""
        del editor
        return is_call(node, _ATEN.bucketize.Tensor, _ATEN.searchsorted.Tensor)

    def check(self, node: fx.Node, editor: ProgramEditor, target: TargetFacts) -> _Plan | Refusal:
        """Refuse borders that are not sorted, and too many comparisons."""
        del editor, target
        if is_call(node, _ATEN.bucketize.Tensor):
            values, borders = argument(node, 0, "self"), argument(node, 1, "boundaries")
        else:
            borders, values = argument(node, 0, "sorted_sequence"), argument(node, 1, "self")
            if argument(node, 5, "sorter") is not None:
                return Refusal("its borders are sorted by an index beside them")
        right = bool(argument(node, 3, "right", default=False)) or argument(node, 4, "side") == "right"
        count = shape_of(borders)[-1]
        size = values.meta["val"].numel() * count
        if size > _MOST:
            return Refusal(f"it would compare {size} pairs of a value and a border; up to {_MOST} it is done")
        return _Plan(values, borders, right, count)

    def replace(self, node: fx.Node, plan: _Plan, editor: ProgramEditor) -> list[tuple[fx.Node, fx.Node]]:
        """Insert the comparisons and their sum."""
        shape = shape_of(plan.values)
        before = shape[:-1] if len(shape_of(plan.borders)) > 1 else ()
        borders = editor.call(_ATEN.reshape.default, plan.borders, [*before, *([1] * (len(shape) - len(before))), plan.count], before=node)
        values = editor.call(_ATEN.reshape.default, plan.values, [*shape, 1], before=node)
        ahead = editor.call(_ATEN.gt.Tensor if plan.right else _ATEN.ge.Tensor, borders, values, before=node)
        passed = editor.call(_ATEN.to.dtype, editor.call(_ATEN.logical_not.default, ahead, before=node), torch.float32, before=node)
        total = editor.call(_ATEN.sum.dim_IntList, passed, [-1], before=node)
        return [(node, editor.call(_ATEN.to.dtype, total, node.meta["val"].dtype, before=node))]
