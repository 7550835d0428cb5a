"""A quantile along a static axis -> its two neighbours among the sorted values, found by counting, and the line between them.

    before   t = quantile(x (R, n), q)                                       q a number: position p = (n - 1) * q
    after    before[i, j] = x_j > x_i, or equal and j < i   (R, n, n)        rank_i = sum over j
             a = sum over i of x_i where rank_i == n - 1 - floor(p)          b: the next higher one
             t = a + (p - floor(p)) * (b - a)

Exact for finite values, ties included; a NaN makes the quantile NaN in the clipped form, as in torch, and anything in the
compared one; with an infinity among the values either form gives NaN. Runtimes have no quantile, and most no sort. The two
forms are those of ``ops/region_order.py``. Of n values n^2 pairs are compared, so long axes are left alone.
"""

import math

import torch
from attrs import frozen
from torch import fx

from edgekit.capabilities import TargetFacts
from edgekit.ops.region_order import BLOW_UP
from edgekit.rewrites.base import Refusal
from edgekit.rewrites.graph import ProgramEditor, argument, is_call, shape_of

_ATEN = torch.ops.aten
_QUANTILES = (_ATEN.quantile.scalar, _ATEN.quantile.default)
_LONGEST = 1024


@frozen
class _Plan:
    """``q`` of several quantiles is one axis more in front; ``axis`` None: of all values."""

    quantiles: tuple[float, ...]
    several: bool
    axis: int | None
    interpolation: str


@frozen
class QuantileByCounting:
    """Compute quantiles without sorting; ``compare``: by comparisons, not by clipped differences."""

    compare: bool = False

    @property
    def name(self) -> str:
        """``quantile_by_counting``, or the same with ``_compared``."""
        return "quantile_by_counting_compared" if self.compare else "quantile_by_counting"

    def match(self, node: fx.Node, editor: ProgramEditor) -> bool:
        """A quantile."""
        del editor
        return is_call(node, *_QUANTILES)

    def check(self, node: fx.Node, editor: ProgramEditor, target: TargetFacts) -> _Plan | Refusal:
        """Refuse what is computed while the model runs, and long axes."""
        del target
        values = _constant_quantiles(argument(node, 1, "q"), editor)
        if values is None:
            return Refusal("which quantile it is, is computed while the model runs; only a constant one has a static form")
        axis = argument(node, 2, "dim")
        shape = shape_of(argument(node, 0, "input"))
        count = math.prod(shape) if axis is None else shape[axis]
        if count > _LONGEST:
            return Refusal(f"it is taken of {count} values, and counting would compare {count} x {count} pairs; up to {_LONGEST} it is done")
        several = isinstance(argument(node, 1, "q"), fx.Node) and len(shape_of(argument(node, 1, "q"))) == 1
        return _Plan(values, several, axis, argument(node, 4, "interpolation", "linear"))

    def replace(self, node: fx.Node, plan: _Plan, editor: ProgramEditor) -> list[tuple[fx.Node, fx.Node]]:
        """Insert the comparisons."""
        build = _Builder(node, editor, self.compare)
        x, rows, count = build.rows(argument(node, 0, "input"), plan.axis)
        ranks = build.compared_ranks(x, rows, count) if self.compare else build.clipped_ranks(x, rows, count)
        found = [build.between(x, ranks, rows, count, (count - 1) * q, plan.interpolation) for q in plan.quantiles]
        shape = list(shape_of(node))
        shaped = [build.shaped(value, shape[1:] if plan.several else shape) for value in found]
        if not plan.several:
            return [(node, shaped[0])]
        return [(node, build.call(_ATEN.stack.default, shaped, 0))]


def _constant_quantiles(q: object, editor: ProgramEditor) -> tuple[float, ...] | None:
    while isinstance(q, fx.Node) and is_call(q, _ATEN.lift_fresh_copy.default, _ATEN.detach_.default, _ATEN.detach.default):
        q = q.args[0]
    if isinstance(q, (int, float)):
        return (float(q),)
    value = editor.constant(q)
    return None if value is None else tuple(float(one) for one in value.reshape(-1))


@frozen
class _Builder:
    """Adds operators in front of a quantile."""

    node: fx.Node
    editor: ProgramEditor
    compare: bool

    def call(self, operator: torch._ops.OpOverload, *args: object) -> fx.Node:
        return self.editor.call(operator, *args, before=self.node)

    def rows(self, x: fx.Node, axis: int | None) -> tuple[fx.Node, int, int]:
        """Return the values as ``(R, n, 1)``, R and n."""
        shape = shape_of(x)
        if axis is None:
            return self.call(_ATEN.reshape.default, x, [1, -1, 1]), 1, math.prod(shape)
        axis %= len(shape)
        if axis != len(shape) - 1:
            x = self.call(_ATEN.permute.default, x, [*(d for d in range(len(shape)) if d != axis), axis])
        rows = math.prod(shape) // shape[axis]
        return self.call(_ATEN.reshape.default, x, [rows, shape[axis], 1]), rows, shape[axis]

    def shaped(self, value: fx.Node, shape: list[int]) -> fx.Node:
        """Bring ``(R, 1, 1)`` into a shape; a single number not by a reshape, which Core AI stops at (coreai-core 1.0.0b3)."""
        return self.call(_ATEN.reshape.default, value, shape) if shape else self.call(_ATEN.squeeze.dims, value, [0, 1, 2])

    def _vectors(self, count: int, x: fx.Node) -> tuple[fx.Node, fx.Node, fx.Node]:
        """Return 0 to n - 1 as a row and as a column, and a row of ones; all quantiles of n values share them."""
        place = torch.arange(count, dtype=x.meta["val"].dtype)
        row = self.editor.add_constant(f"places_of_{count}", place.reshape(1, 1, -1))
        column = self.editor.add_constant(f"column_of_{count}", place.reshape(1, -1, 1))
        return row, column, self.editor.add_constant(f"ones_of_{count}", torch.ones_like(place)[None])

    def clipped_ranks(self, x: fx.Node, rows: int, count: int) -> fx.Node:
        """Return ranks from the highest, ``(R, n, 1)``; see :class:`edgekit.ops.region_order.RegionRanks`."""
        row, column, ones = self._vectors(count, x)
        across = self.call(_ATEN.reshape.default, x, [rows, 1, count])
        lead = self.call(_ATEN.mul.Tensor, self.call(_ATEN.sub.Tensor, across, x), BLOW_UP)
        lead = self.call(_ATEN.sub.Tensor, self.call(_ATEN.add.Tensor, lead, column), row)
        signs = self.call(_ATEN.linear.default, self.call(_ATEN.clamp.default, lead, -1.0, 1.0), ones)
        return self.call(_ATEN.mul.Tensor, self.call(_ATEN.add.Tensor, signs, float(count - 1)), 0.5)

    def compared_ranks(self, x: fx.Node, rows: int, count: int) -> fx.Node:
        row, column, ones = self._vectors(count, x)
        across = self.call(_ATEN.reshape.default, x, [rows, 1, count])
        higher = self.call(_ATEN.gt.Tensor, across, x)
        dtype = x.meta["val"].dtype
        tied = self.call(_ATEN.to.dtype, self.call(_ATEN.eq.Tensor, across, x), dtype)
        earlier = self.call(_ATEN.gt.Tensor, self.call(_ATEN.mul.Tensor, tied, column), self.call(_ATEN.mul.Tensor, tied, row))
        before = self.call(_ATEN.to.dtype, self.call(_ATEN.logical_or.default, higher, earlier), dtype)
        return self.call(_ATEN.linear.default, before, ones)

    def between(self, x: fx.Node, ranks: fx.Node, rows: int, count: int, position: float, interpolation: str) -> fx.Node:
        """Return the value at a position among the ascending values, ``(R, 1, 1)``."""
        low, share = _neighbours(position, interpolation)
        below = self._ranked(x, ranks, rows, count, low)
        if not share:
            return below
        above = self._ranked(x, ranks, rows, count, low + 1)
        step = self.call(_ATEN.sub.Tensor, above, below)
        if share < 0.5:  # as torch.lerp: rounding is smallest at the nearer end
            return self.call(_ATEN.add.Tensor, below, self.call(_ATEN.mul.Tensor, step, share))
        return self.call(_ATEN.sub.Tensor, above, self.call(_ATEN.mul.Tensor, step, 1.0 - share))

    def _ranked(self, x: fx.Node, ranks: fx.Node, rows: int, count: int, ascending: int) -> fx.Node:
        wanted = float(count - 1 - ascending)
        if self.compare:  # Core ML Tools 9.0 stops at a number subtracted from a linear layer: "tuple index out of range" in fuse_linear_bias
            one_hot = self.call(_ATEN.to.dtype, self.call(_ATEN.eq.Scalar, ranks, wanted), x.meta["val"].dtype)
        else:
            away = self.call(_ATEN.abs.default, self.call(_ATEN.sub.Tensor, ranks, wanted))
            one_hot = self.call(_ATEN.relu.default, self.call(_ATEN.add.Tensor, self.call(_ATEN.mul.Tensor, away, -1.0), 1.0))
        return self.call(_ATEN.bmm.default, self.call(_ATEN.reshape.default, one_hot, [rows, 1, count]), x)


def _neighbours(position: float, interpolation: str) -> tuple[int, float]:
    """Return the rank below a position, and how far it is on the way to the next."""
    if interpolation == "nearest":
        return round(position), 0.0  # halves to the even one, as torch
    if interpolation == "higher":
        return math.ceil(position), 0.0
    low = math.floor(position)
    share = {"linear": position - low, "lower": 0.0, "midpoint": 0.5 if position > low else 0.0}[interpolation]
    return low, share
