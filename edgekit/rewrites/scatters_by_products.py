"""Rows added up, averaged or maximised at places that the picture decides -> products with zeros and ones.

    before   y = scatter_add(x (P, N, Q), 1, index (P, M, Q), src (P, M, Q))      scatter_reduce, index_add, index_put that accumulates
    after    O[p, m, n] = index[p, m] == n                                        (P, M, N), where index is the same along Q
             y = x + O^T src        mean: (x + O^T src) / (1 + sum over m of O)   amax: max over m of src where O, and x

Exact but for the order of sums, as it is in torch, for finite values: an infinity in a row of src reaches all, but for amax and amin. Where x does
not count (``include_self=False``) it stays where nothing is put. LiteRT and Core AI load no scatter that adds, most converters
know no ``scatter_reduce``, and torch.onnx (2.13) writes a mean that divides by another count. Places count from the front.
"""

import math
from typing import Any, Literal, cast

import torch
from attrs import frozen
from torch import fx

from edgekit.capabilities import TargetFacts
from edgekit.rewrites.base import Refusal
from edgekit.rewrites.graph import ProgramEditor, argument, is_call, shape_of

_ATEN = torch.ops.aten
_ADDS = (_ATEN.scatter_add.default, _ATEN.scatter_add_.default)
_REDUCES = (_ATEN.scatter_reduce.two, _ATEN.scatter_reduce_.two)
_INDEX_ADDS = (_ATEN.index_add.default, _ATEN.index_add_.default)
_PUTS = (_ATEN.index_put.default, _ATEN.index_put_.default)
_IN_PLACE = (_ADDS[1], _REDUCES[1], _INDEX_ADDS[1], _PUTS[1])
_FRESH = tuple(getattr(_ATEN, name).default for name in ("zeros", "zeros_like", "new_zeros", "ones", "ones_like", "full", "new_full", "clone"))
_MOST = 2**22
"""Values of the largest tensor in between; 16 MB."""

_Mode = Literal["sum", "mean", "amax", "amin"]


@frozen
class _Plan:
    """Add ``source`` into ``x`` along ``axis`` at ``index``, whose shape is the source's with ones where it is the same all along an axis."""

    x: fx.Node
    axis: int
    index: fx.Node
    source: fx.Node
    mode: _Mode = "sum"
    include_self: bool = True


class ScattersByProducts:
    """Add up rows without a scatter."""

    name = "scatters_by_products"

    def match(self, node: fx.Node, editor: ProgramEditor) -> bool:
        """A scatter that adds, averages or takes the extreme."""
        del editor
        if is_call(node, *_PUTS):
            return bool(argument(node, 3, "accumulate", default=False))
        return is_call(node, *_ADDS, *_REDUCES, *_INDEX_ADDS)

    def check(self, node: fx.Node, editor: ProgramEditor, target: TargetFacts) -> _Plan | Refusal:
        """Refuse whole numbers, products, large intermediate values, and writes into what others read."""
        del editor, target
        x = argument(node, 0, "self")
        dtype: torch.dtype = x.meta["val"].dtype
        if not dtype.is_floating_point:
            return Refusal(f"it adds {dtype}, and not every whole number is exact in a product")
        if is_call(node, *_IN_PLACE) and not (is_call(x, *_FRESH) and list(x.users) == [node]):
            return Refusal("it writes in place, into a value that is read elsewhere, too")
        plan = _put_plan(node, x) if is_call(node, *_PUTS) else _scatter_plan(node, x)
        if isinstance(plan, Refusal):
            return plan
        rows, places, columns = _sizes(shape_of(plan.source), plan.axis)
        across = columns if plan.mode in ("amax", "amin") or shape_of(plan.index)[plan.axis + 1 :] != (1,) * (len(shape_of(x)) - plan.axis - 1) else 1
        size = rows * places * shape_of(x)[plan.axis] * across
        if size > _MOST:
            return Refusal(f"it would compare {size} pairs of places; up to {_MOST} it is done")
        return plan

    def replace(self, node: fx.Node, plan: _Plan, editor: ProgramEditor) -> list[tuple[fx.Node, fx.Node]]:
        """Insert the products."""
        if is_call(node, *_IN_PLACE):
            node.target = next(kind[0] for kind in (_ADDS, _REDUCES, _INDEX_ADDS, _PUTS) if node.target is kind[1])  # else nothing would remove it
        return [(node, _Builder(node, editor, plan).result())]


def _scatter_plan(node: fx.Node, x: fx.Node) -> _Plan | Refusal:
    shape = shape_of(x)
    if not shape:
        return Refusal("it adds to a single number, which has no axis")
    axis = argument(node, 1, "dim") % len(shape)
    index, source = argument(node, 2, "index"), argument(node, 3, "source" if is_call(node, *_INDEX_ADDS) else "src")
    if is_call(node, *_INDEX_ADDS):
        if argument(node, 4, "alpha", 1) != 1:
            return Refusal("it multiplies what it adds by alpha")
        return _Plan(x, axis, index, source)
    taken, given = list(shape_of(index)), list(shape_of(source))
    if taken != given or [size for place, size in enumerate(given) if place != axis] != [size for place, size in enumerate(shape) if place != axis]:
        return Refusal("its index covers a part of the values only")
    if is_call(node, *_ADDS):
        return _Plan(x, axis, _narrowest(index), source)
    mode = argument(node, 4, "reduce")
    if mode == "prod":
        return Refusal("it multiplies, and a product with zeros and ones only adds")
    return _Plan(x, axis, _narrowest(index), source, cast(_Mode, mode), argument(node, 5, "include_self", default=True))


def _put_plan(node: fx.Node, x: fx.Node) -> _Plan | Refusal:
    indices = argument(node, 1, "indices")
    axes = [axis for axis, index in enumerate(indices) if index is not None]
    if len(axes) != 1 or len(shape_of(indices[axes[0]])) != 1:
        return Refusal("it adds at places of several axes at once")
    return _Plan(x, axes[0], indices[axes[0]], argument(node, 2, "values"))


def _narrowest(index: fx.Node) -> fx.Node:
    """Return an index without the axes along which it was expanded."""
    while is_call(index, _ATEN.expand.default, _ATEN.expand_as.default):
        source = cast(fx.Node, index.args[0])
        if len(shape_of(source)) != len(shape_of(index)):
            break
        index = source
    return index


def _sizes(shape: tuple[int, ...], axis: int) -> tuple[int, int, int]:
    axis = min(axis, len(shape) - 1)
    return math.prod(shape[:axis]), shape[axis] if shape else 1, math.prod(shape[axis + 1 :])


@frozen
class _Builder:
    """Adds operators in front of a scatter; tensors are ``(P, N or M, Q)``, what compares places ``(P or 1, M, N, Q or 1)``."""

    node: fx.Node
    editor: ProgramEditor
    plan: _Plan

    def call(self, operator: torch._ops.OpOverload, *args: Any) -> fx.Node:
        return self.editor.call(operator, *args, before=self.node)

    def result(self) -> fx.Node:
        shape = shape_of(self.plan.x)
        rows, count, columns = _sizes(shape, self.plan.axis)
        x = self.call(_ATEN.reshape.default, self.plan.x, [rows, count, columns])
        hits = self._hits(rows, count, columns)
        found = self._sums(x, hits) if self.plan.mode in ("sum", "mean") else self._extremes(x, hits)
        return self.call(_ATEN.reshape.default, found, list(shape))

    def _hits(self, rows: int, count: int, columns: int) -> fx.Node:
        """Return where the index of a row of the source is the place, as truth values."""
        index, axis = self.plan.index, self.plan.axis
        shape = shape_of(index)
        if len(shape) == 1 and len(shape_of(self.plan.x)) > 1:
            outer, inner = 1, 1
        else:
            full = list(shape_of(self.plan.source))
            parts = [shape[:axis], shape[axis + 1 :]]
            wanted = [tuple(full[:axis]), tuple(full[axis + 1 :])]
            parts = [part if all(size == 1 for size in part) else whole for part, whole in zip(parts, wanted, strict=True)]
            if (*parts[0], shape[axis], *parts[1]) != shape:
                index = self.call(_ATEN.expand.default, index, [*parts[0], shape[axis], *parts[1]])
            outer, inner = math.prod(parts[0]), math.prod(parts[1])
        places = shape_of(index)[axis if len(shape) > 1 else 0]
        numbers = self.editor.add_constant(f"places_of_{count}", torch.arange(count, dtype=torch.float32).reshape(1, 1, -1))
        numbers = self.call(_ATEN.reshape.default, numbers, [1, 1, count, 1])
        index = self.call(_ATEN.to.dtype, self.call(_ATEN.reshape.default, index, [outer, places, 1, inner]), torch.float32)
        del rows, columns
        return self.call(_ATEN.eq.Tensor, index, numbers)

    def _source(self, rows: int, columns: int) -> fx.Node:
        places = shape_of(self.plan.index)[self.plan.axis if len(shape_of(self.plan.index)) > 1 else 0]
        shape = list(shape_of(self.plan.x))
        full = [*shape[: self.plan.axis], places, *shape[self.plan.axis + 1 :]]
        source = self.plan.source
        if list(shape_of(source)) != full:
            source = self.call(_ATEN.expand.default, source, full)
        return self.call(_ATEN.reshape.default, source, [rows, places, columns])

    def _sums(self, x: fx.Node, hits: fx.Node) -> fx.Node:
        rows, count, columns = shape_of(x)
        source = self._source(rows, columns)
        ones = self.call(_ATEN.to.dtype, hits, x.meta["val"].dtype)
        outer, places, _, inner = shape_of(hits)
        if inner == 1:
            matrix = self.call(_ATEN.permute.default, self.call(_ATEN.reshape.default, ones, [outer, places, count]), [0, 2, 1])
            if outer != rows:
                matrix = self.call(_ATEN.expand.default, matrix, [rows, count, places])
            total = self.call(_ATEN.bmm.default, matrix, source)
        else:
            spread = self.call(_ATEN.mul.Tensor, ones, self.call(_ATEN.reshape.default, source, [rows, places, 1, columns]))
            total = self.call(_ATEN.sum.dim_IntList, spread, [1])
        if self.plan.include_self:
            total = self.call(_ATEN.add.Tensor, x, total)
            if self.plan.mode == "sum":
                return total
            return self.call(_ATEN.div.Tensor, total, self.call(_ATEN.add.Tensor, self._counts(ones), 1.0))
        counts = self._counts(ones)
        if self.plan.mode == "mean":
            total = self.call(_ATEN.div.Tensor, total, self.call(_ATEN.clamp.default, counts, 1.0))
        return self.call(_ATEN.where.self, self.call(_ATEN.gt.Scalar, counts, 0.5), total, x)

    def _counts(self, ones: fx.Node) -> fx.Node:
        return self.call(_ATEN.sum.dim_IntList, ones, [1])

    def _extremes(self, x: fx.Node, hits: fx.Node) -> fx.Node:
        rows, _, columns = shape_of(x)
        largest = self.plan.mode == "amax"
        source = self._source(rows, columns)
        places = shape_of(source)[1]
        spread = self.call(_ATEN.reshape.default, source, [rows, places, 1, columns])
        spread = self.call(_ATEN.where.ScalarOther, hits, spread, -math.inf if largest else math.inf)
        best = self.call(_ATEN.amax.default if largest else _ATEN.amin.default, spread, [1])
        if self.plan.include_self:
            return self.call(_ATEN.maximum.default if largest else _ATEN.minimum.default, x, best)
        counts = self._counts(self.call(_ATEN.to.dtype, hits, x.meta["val"].dtype))
        return self.call(_ATEN.where.self, self.call(_ATEN.gt.Scalar, counts, 0.5), best, x)
