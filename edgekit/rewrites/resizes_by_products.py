"""Resizing that no kernel does -> products with two constant matrices.

    before   y (N, C, H', W') = interpolate(x (N, C, H, W), mode="bicubic"[, antialias=True])        bilinear with antialias, too
    after    y = R x K        R (H', H), K (W, W'): what the operator makes of each unit vector of a column and of a row

    before   y (N, C, H', W') = interpolate(x (N, C, H, W), mode="nearest"), H' no multiple of H, or W' none of W
    after    the same, R and K of zeros and ones

Exact but for the order of sums: these resizings treat rows and columns one after the other, each by a linear map. Bilinear without antialias is a
kernel everywhere and stays, and so does nearest that repeats whole rows and columns; LiteRT's takes other ones than torch where it does not. Core ML,
LiteRT and ExecuTorch know neither bicubic nor antialias; positions of vision transformers are the usual case. Matrices are dense,
H' * H + W' * W values.
"""

import torch
from attrs import frozen
from torch import Tensor, fx

from edgekit.capabilities import TargetFacts
from edgekit.rewrites.base import Refusal
from edgekit.rewrites.graph import ProgramEditor, argument, is_call, shape_of

_ATEN = torch.ops.aten
_SMOOTH = tuple(getattr(_ATEN, name).vec for name in ("upsample_bicubic2d", "_upsample_bicubic2d_aa", "_upsample_bilinear2d_aa"))
_NEAREST = (_ATEN.upsample_nearest2d.vec,)
_MOST = 2**20
"""Values of a matrix; 4 MB."""


@frozen
class _Plan:
    """What to multiply rows with from the left, ``(H', H)``, and columns from the right, ``(W, W')``."""

    rows: Tensor
    columns: Tensor


class ResizesByProducts:
    """Resize by matrices.

    :param nearest: what repeats or leaves out rows and columns unevenly; otherwise what no kernel does.
    """

    def __init__(self, *, nearest: bool = False) -> None:
        self.name = "nearest_resizes_by_products" if nearest else "resizes_by_products"
        self._kinds = _NEAREST if nearest else _SMOOTH

    def match(self, node: fx.Node, editor: ProgramEditor) -> bool:
        """A bicubic resizing, or one with antialias; or one to the nearest that is uneven."""
        del editor
        return is_call(node, *self._kinds) and not (node.target in _NEAREST and _repeats(node))

    def check(self, node: fx.Node, editor: ProgramEditor, target: TargetFacts) -> _Plan | Refusal:
        """Refuse large matrices."""
        del editor, target
        before, after = shape_of(argument(node, 0, "input"))[-2:], shape_of(node)[-2:]
        largest = max(one * other for one, other in zip(before, after, strict=True))
        if largest > _MOST:
            return Refusal(f"its matrix would have {largest} values; up to {_MOST} it is done")
        return _Plan(*(_of_side(node, side) for side in (0, 1)))

    def replace(self, node: fx.Node, plan: _Plan, editor: ProgramEditor) -> list[tuple[fx.Node, fx.Node]]:
        """Insert both products; the one that leaves fewer values first."""
        x: fx.Node = argument(node, 0, "input")
        rows, columns = (editor.add_constant(f"{node.name}_{part}", value) for part, value in (("rows", plan.rows), ("columns", plan.columns)))
        y = editor.call(_ATEN.matmul.default, x, columns, before=node)
        return [(node, editor.call(_ATEN.matmul.default, rows, y, before=node))]


def _repeats(node: fx.Node) -> bool:
    """Whether each row and column is repeated alike."""
    before, after = shape_of(argument(node, 0, "input"))[-2:], shape_of(node)[-2:]
    return all(other % one == 0 for one, other in zip(before, after, strict=True))


def _of_side(node: fx.Node, side: int) -> Tensor:
    """Return the matrix of rows (0) or columns (1): the operator itself, on unit vectors along that side, which the other repeats."""
    before, after = shape_of(argument(node, 0, "input"))[-2:], shape_of(node)[-2:]
    size = before[side]
    units = (
        torch.eye(size).reshape(1, size, size, 1).expand(1, size, size, before[1])
        if side == 0
        else torch.eye(size).reshape(1, size, 1, size).expand(1, size, before[0], size)
    )
    names = [spec.name for spec in node.target._schema.arguments[1:]]  # type: ignore[union-attr]  # noqa: SLF001
    rest = dict(zip(names, node.args[1:], strict=False)) | {name: value for name, value in node.kwargs.items() if name != "input"}
    resized: Tensor = node.target(units.double().contiguous(), **rest)  # type: ignore[operator]
    assert tuple(resized.shape[-2:]) == after  # noqa: S101  the same arguments give the same size
    along = resized[0, :, :, 0].T if side == 0 else resized[0, :, 0, :]
    return along.float().contiguous()
