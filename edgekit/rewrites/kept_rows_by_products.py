"""Rows taken and put back at the places a mask keeps -> products with a matrix of zeros and ones.

    before   places = kept_places(mask (n,), k)     taken = x.index_select(0, places)      y = x.index_copy(0, places, rows)
    after    before_i = how many of the places ahead of i are kept                         (n,)
             P[r, i] = mask_i and before_i == r     taken = P x                            y = (1 - mask) x + P^T rows      (k, n)

Exact where the mask keeps k: a product has one term that is not 0. A NaN or an infinity in any row of x reaches all. Where a tie
makes the mask keep fewer, the last rows are 0; where more, the first k are taken. What else reads the places gets P (0, 1, ..., n - 1).
Nothing of size (n, n) is stored; n^2 pairs of places are looked at, so long masks are left alone.
"""

import math

import torch
from attrs import frozen
from torch import Tensor, fx

from edgekit.capabilities import TargetFacts
from edgekit.ops.kept_places import KEPT_PLACES
from edgekit.rewrites.base import Refusal
from edgekit.rewrites.graph import ProgramEditor, argument, is_call, shape_of

_ATEN = torch.ops.aten
_LONGEST = 1024
_SHAPES = (_ATEN.view.default, _ATEN.reshape.default, _ATEN.squeeze.dim, _ATEN.squeeze.default, _ATEN.unsqueeze.default, _ATEN.flatten.using_ints)


@frozen
class _Move:
    """A reader of the places: it takes from ``x``, or puts ``rows`` there, along ``axis``."""

    node: fx.Node
    x: fx.Node
    axis: int
    rows: fx.Node | None = None


class KeptRowsByProducts:
    """Take and put rows at the places of a mask without an index."""

    name = "kept_rows_by_products"

    def match(self, node: fx.Node, editor: ProgramEditor) -> bool:
        """The places of a mask."""
        del editor
        return is_call(node, KEPT_PLACES)

    def check(self, node: fx.Node, editor: ProgramEditor, target: TargetFacts) -> list[_Move] | Refusal:
        """Refuse long masks; return the reads and writes that become products."""
        del editor, target
        (length,) = shape_of(argument(node, 0, "mask"))
        if length > _LONGEST:
            return Refusal(f"its mask has {length} places, and each would be compared with each; up to {_LONGEST} it is done")
        return _moves(node)

    def replace(self, node: fx.Node, plan: list[_Move], editor: ProgramEditor) -> list[tuple[fx.Node, fx.Node]]:
        """Insert the matrix where the places were, and a product at each reader."""
        build = _Builder(editor, node)
        matrix, kept = build.matrix()
        pairs = [(move.node, build.taken(move, matrix) if move.rows is None else build.put(move, matrix, kept)) for move in plan]
        return [(node, build.places(matrix)), *pairs]


def _moves(places: fx.Node) -> list[_Move]:
    """Return the readers of the places, in whatever shape they read them, that take or put whole rows."""
    found, seen = [], [places]
    for node in seen:
        for user in node.users:
            if is_call(user, *_SHAPES):
                seen.append(user)
            elif (move := _move(user, node)) is not None:
                found.append(move)
    return found


def _move(user: fx.Node, places: fx.Node) -> _Move | None:
    if len(shape_of(places)) != 1:
        return None
    if is_call(user, _ATEN.index_select.default):
        return _checked(user, argument(user, 1, "dim"))
    if is_call(user, _ATEN.index_copy.default):
        return _checked(user, argument(user, 1, "dim"), argument(user, 3, "source"))
    if is_call(user, _ATEN.index.Tensor, _ATEN.index_put.default):
        axes = [axis for axis, index in enumerate(argument(user, 1, "indices")) if index is not None]
        if len(axes) != 1 or argument(user, 3, "accumulate", default=False):
            return None
        return _checked(user, axes[0], argument(user, 2, "values") if is_call(user, _ATEN.index_put.default) else None)
    return None


def _checked(user: fx.Node, axis: int, rows: fx.Node | None = None) -> _Move | None:
    """Whole numbers stay with an index: not every one is exact in a product."""
    x = argument(user, 0, "self")
    value: Tensor = x.meta["val"]
    if not value.dtype.is_floating_point and value.dtype != torch.bool:
        return None
    return _Move(user, x, axis % value.ndim, rows)


@frozen
class _Builder:
    """Adds operators in front of the places, and in front of each reader."""

    editor: ProgramEditor
    places_node: fx.Node

    def call(self, operator: torch._ops.OpOverload, *args: object) -> fx.Node:
        return self.editor.call(operator, *args, before=self.places_node)

    def matrix(self) -> tuple[fx.Node, fx.Node]:
        """Return P ``(k, n)`` and the mask ``(n, 1)``, as zeros and ones in float32."""
        mask, count = argument(self.places_node, 0, "mask"), argument(self.places_node, 1, "count")
        (length,) = shape_of(mask)
        row = self.editor.add_constant(f"places_of_{length}", torch.arange(length, dtype=torch.float32).reshape(1, -1))
        column = self.editor.add_constant(f"column_of_{length}", torch.arange(length, dtype=torch.float32).reshape(-1, 1))
        ones = self.editor.add_constant(f"ones_of_{length}", torch.ones(1, length))
        wanted = self.editor.add_constant(f"column_of_{count}", torch.arange(count, dtype=torch.float32).reshape(-1, 1))
        kept = self.call(_ATEN.reshape.default, self.call(_ATEN.to.dtype, mask, torch.float32), [1, length])
        # mask_j * (i - j), not (i - j) alone: a table of constants would be stored.
        lead = self.call(_ATEN.sub.Tensor, self.call(_ATEN.mul.Tensor, column, kept), self.call(_ATEN.mul.Tensor, row, kept))
        ahead = self._one_minus(self.call(_ATEN.relu.default, self._one_minus(self.call(_ATEN.relu.default, lead))))
        order = self.call(_ATEN.reshape.default, self.call(_ATEN.linear.default, ahead, ones), [1, length])
        away = self.call(_ATEN.abs.default, self.call(_ATEN.sub.Tensor, order, wanted))
        matrix = self.call(_ATEN.mul.Tensor, self.call(_ATEN.relu.default, self._one_minus(away)), kept)
        return matrix, self.call(_ATEN.reshape.default, kept, [length, 1])

    def _one_minus(self, x: fx.Node) -> fx.Node:
        return self.call(_ATEN.add.Tensor, self.call(_ATEN.mul.Tensor, x, -1.0), 1.0)

    def places(self, matrix: fx.Node) -> fx.Node:
        """Return the places as whole numbers, for whoever still reads them."""
        count, length = shape_of(matrix)
        column = self.editor.add_constant(f"column_of_{length}", torch.arange(length, dtype=torch.float32).reshape(-1, 1))
        product = self.call(_ATEN.mm.default, matrix, column)
        return self.call(_ATEN.to.dtype, self.call(_ATEN.reshape.default, product, [count]), torch.int64)

    def taken(self, move: _Move, matrix: fx.Node) -> fx.Node:
        """Return ``P x`` along the axis of a read."""
        at = _At(self.editor, move)
        found = at.call(_ATEN.mm.default, at.in_type_of_rows(matrix), at.as_matrix(move.x))
        return at.from_matrix(found, shape_of(move.node))

    def put(self, move: _Move, matrix: fx.Node, kept: fx.Node) -> fx.Node:
        """Return ``(1 - mask) x + P^T rows`` along the axis of a write."""
        at = _At(self.editor, move)
        shape = shape_of(move.x)
        rows = at.call(_ATEN.expand.default, move.rows, [*shape[: move.axis], shape_of(matrix)[0], *shape[move.axis + 1 :]])
        spread = at.call(_ATEN.mm.default, at.call(_ATEN.transpose.int, at.in_type_of_rows(matrix), 0, 1), at.as_matrix(rows))
        x, mask = at.as_matrix(move.x), at.in_type_of_rows(kept)
        left = at.call(_ATEN.mul.Tensor, x, at.call(_ATEN.add.Tensor, at.call(_ATEN.mul.Tensor, mask, -1.0), 1.0))
        return at.from_matrix(at.call(_ATEN.add.Tensor, left, spread), shape)


@frozen
class _At:
    """Adds operators in front of a reader; tensors become matrices ``(rows, everything else)`` and come back."""

    editor: ProgramEditor
    move: _Move

    def call(self, operator: torch._ops.OpOverload, *args: object) -> fx.Node:
        return self.editor.call(operator, *args, before=self.move.node)

    def in_type_of_rows(self, x: fx.Node) -> fx.Node:
        dtype = self._dtype()
        return x if dtype == x.meta["val"].dtype else self.call(_ATEN.to.dtype, x, dtype)

    def as_matrix(self, x: fx.Node) -> fx.Node:
        shape, axis = shape_of(x), self.move.axis
        if any(size != 1 for size in shape[:axis]):
            x = self.call(_ATEN.permute.default, x, [axis, *(other for other in range(len(shape)) if other != axis)])
        x = self.call(_ATEN.reshape.default, x, [shape[axis], math.prod(shape) // max(shape[axis], 1)])
        return x if x.meta["val"].dtype != torch.bool else self.call(_ATEN.to.dtype, x, torch.float32)

    def from_matrix(self, x: fx.Node, shape: tuple[int, ...]) -> fx.Node:
        axis = self.move.axis
        if x.meta["val"].dtype != self.move.x.meta["val"].dtype:
            x = self.call(_ATEN.gt.Scalar, x, 0.5)
        if all(size == 1 for size in shape[:axis]):
            return self.call(_ATEN.reshape.default, x, list(shape))
        others = [size for place, size in enumerate(shape) if place != axis]
        x = self.call(_ATEN.reshape.default, x, [shape[axis], *others])
        return self.call(_ATEN.permute.default, x, [*range(1, axis + 1), 0, *range(axis + 1, len(shape))])

    def _dtype(self) -> torch.dtype:
        dtype: torch.dtype = self.move.x.meta["val"].dtype
        return torch.float32 if dtype == torch.bool else dtype
