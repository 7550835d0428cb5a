"""A sort, argsort or top-k along a static axis -> ranks by counting, and the indices they belong to.

    before   v, i = sort(x (R, n), stable)      i = argsort(x)      v, i = topk(x, k)
    after    rank_a = how many x_b come before x_a: smaller, or equal and b < a       (R, n)
             i[r] = sum over a of a where rank_a == r                                 (R, k)       v = gather(x, i)

Exact, infinities and whole numbers included. Equal values come in the order of their places, as ``stable`` asks; of top-k torch leaves open
which of them it takes. A NaN counts as the largest value, as in torch, and as equal to an infinity. Most runtimes have no sort,
and none a stable one. Of n values n^2 pairs are compared, so long axes are left alone.
"""

import math
import operator
from typing import Any

import torch
from attrs import frozen
from torch import fx

from edgekit.capabilities import TargetFacts
from edgekit.rewrites.base import Refusal
from edgekit.rewrites.graph import ProgramEditor, argument, is_call, shape_of

_ATEN = torch.ops.aten
_SORTS = (_ATEN.sort.default, _ATEN.msort.default, _ATEN.argsort.default)
_STABLE = (_ATEN.sort.stable, _ATEN.argsort.stable)
_LONGEST = 1024
_MOST_PAIRS = 2**24


@frozen
class _Plan:
    """Of ``count`` values along ``axis`` the first ``kept`` in their order."""

    axis: int
    count: int
    kept: int
    descending: bool


@frozen
class SortsByCounting:
    """Sort without sorting; ``kind``: every sort, only those that have to be stable, or top-k."""

    kind: str

    @property
    def name(self) -> str:
        """``sorts_by_counting``, ``stable_sorts_by_counting`` or ``top_k_by_counting``."""
        return {"all": "sorts_by_counting", "stable": "stable_sorts_by_counting", "top-k": "top_k_by_counting"}[self.kind]

    def match(self, node: fx.Node, editor: ProgramEditor) -> bool:
        """A sort of this kind that somebody reads."""
        del editor
        kinds = {"all": (*_SORTS, *_STABLE), "stable": _STABLE, "top-k": (_ATEN.topk.default,)}[self.kind]
        return is_call(node, *kinds) and bool(node.users)

    def check(self, node: fx.Node, editor: ProgramEditor, target: TargetFacts) -> _Plan | Refusal:
        """Refuse long axes and single numbers."""
        del editor, target
        shape = shape_of(argument(node, 0, "self"))
        if not shape:
            return Refusal("it sorts a single number, which has no axis")
        if is_call(node, _ATEN.topk.default) and argument(node, 1, "k") > 1 and not argument(node, 4, "sorted", default=True):
            return Refusal("it leaves the order of the values to torch, and torch says nothing about it")
        axis, descending = _order(node)
        axis %= len(shape)
        count = shape[axis]
        kept = argument(node, 1, "k") if is_call(node, _ATEN.topk.default) else count
        if count > _LONGEST or math.prod(shape) * count > _MOST_PAIRS:
            return Refusal(
                f"it sorts {math.prod(shape) // max(count, 1)} x {count} values, and counting would compare each with {count}; "
                f"up to {_LONGEST} values and {_MOST_PAIRS} pairs it is done"
            )
        return _Plan(axis, count, kept, descending)

    def replace(self, node: fx.Node, plan: _Plan, editor: ProgramEditor) -> list[tuple[fx.Node, fx.Node]]:
        """Insert the comparisons, and a gather where values are read."""
        build = _Builder(node, editor, plan)
        indices = build.indices()
        if is_call(node, _ATEN.argsort.default, _ATEN.argsort.stable):
            return [(node, indices)]
        if is_call(node, _ATEN.msort.default):
            return [(node, build.values(indices))]
        parts = [user for user in node.users if is_call(user, operator.getitem) and user.users]
        return [(part, indices if part.args[1] == 1 else build.values(indices)) for part in parts]


def _order(node: fx.Node) -> tuple[int, bool]:
    """Return the axis of a sort, and whether the largest come first."""
    if is_call(node, _ATEN.msort.default):
        return 0, False
    if is_call(node, _ATEN.topk.default):
        return argument(node, 2, "dim", -1), argument(node, 3, "largest", default=True)
    if is_call(node, *_STABLE):
        return argument(node, 2, "dim", -1), argument(node, 3, "descending", default=False)
    return argument(node, 1, "dim", -1), argument(node, 2, "descending", default=False)


@frozen
class _Builder:
    """Adds operators in front of a sort."""

    node: fx.Node
    editor: ProgramEditor
    plan: _Plan

    def call(self, operator: torch._ops.OpOverload, *args: Any) -> fx.Node:
        return self.editor.call(operator, *args, before=self.node)

    def values(self, indices: fx.Node) -> fx.Node:
        return self.call(_ATEN.gather.default, argument(self.node, 0, "self"), self.plan.axis, indices)

    def indices(self) -> fx.Node:
        """Return the places of the values in their order, as torch has them."""
        x = self._keys()
        shape = shape_of(x)
        others = [place for place in range(len(shape)) if place != self.plan.axis]
        if others != list(range(len(shape) - 1)):
            x = self.call(_ATEN.permute.default, x, [*others, self.plan.axis])
        rows = math.prod(shape[place] for place in others)
        found = self._ranked(x, rows)
        found = self.call(_ATEN.to.dtype, found, torch.int64)
        found = self.call(_ATEN.reshape.default, found, [*(shape[place] for place in others), self.plan.kept])
        if others == list(range(len(shape) - 1)):
            return found
        return self.call(_ATEN.permute.default, found, [*range(self.plan.axis), len(shape) - 1, *range(self.plan.axis, len(shape) - 1)])

    def _keys(self) -> fx.Node:
        """Return the values with infinity for what is not a number."""
        x = argument(self.node, 0, "self")
        dtype: torch.dtype = x.meta["val"].dtype
        if not dtype.is_floating_point:
            return x if dtype != torch.bool else self.call(_ATEN.to.dtype, x, torch.float32)
        return self.call(_ATEN.masked_fill.Scalar, x, self.call(_ATEN.ne.Tensor, x, x), math.inf)

    def _ranked(self, x: fx.Node, rows: int) -> fx.Node:
        """Return for each rank the place that has it, ``(R, k)`` in float32."""
        count = self.plan.count
        place = torch.arange(count, dtype=torch.float32)
        row = self.editor.add_constant(f"places_of_{count}", place.reshape(1, 1, -1))
        column = self.editor.add_constant(f"column_of_{count}", place.reshape(1, -1, 1))
        wanted = row if self.plan.kept == count else self.editor.add_constant(f"places_of_{self.plan.kept}", place[None, None, : self.plan.kept])
        own = self.call(_ATEN.reshape.default, x, [rows, count, 1])
        other = self.call(_ATEN.reshape.default, x, [rows, 1, count])
        ahead = self.call(_ATEN.gt.Tensor if self.plan.descending else _ATEN.lt.Tensor, other, own)
        tied = self.call(_ATEN.to.dtype, self.call(_ATEN.eq.Tensor, other, own), torch.float32)
        # tied_ab * a > tied_ab * b, not a table of what is left of what: it would be stored.
        earlier = self.call(_ATEN.gt.Tensor, self.call(_ATEN.mul.Tensor, tied, column), self.call(_ATEN.mul.Tensor, tied, row))
        before = self.call(_ATEN.to.dtype, self.call(_ATEN.logical_or.default, ahead, earlier), torch.float32)
        rank = self.call(_ATEN.sum.dim_IntList, before, [2], True)
        one_hot = self.call(_ATEN.to.dtype, self.call(_ATEN.eq.Tensor, rank, wanted), torch.float32)
        return self.call(_ATEN.sum.dim_IntList, self.call(_ATEN.mul.Tensor, one_hot, column), [1])
