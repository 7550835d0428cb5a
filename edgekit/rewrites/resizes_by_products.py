"""Resizing that no kernel does -> products with two constant matrices.

    before   y (N, C, H', W') = interpolate(x (N, C, H, W), mode="bicubic"[, antialias=True])        bilinear with antialias, too
    after    y = R x K        R (H', H), K (W, W'): what the operator makes of each unit vector of a column and of a row

Exact but for the order of sums: these resizings treat rows and columns one after the other, each by a linear map. Bilinear and nearest without
antialias are kernels everywhere and stay. Positions of vision transformers are the usual case. Core ML, LiteRT and ExecuTorch know neither; matrices
are dense, H' * H + W' * W values.
"""

import torch
from attrs import frozen
from torch import Tensor, fx

from edgekit.capabilities import TargetFacts
from edgekit.rewrites.base import Refusal
from edgekit.rewrites.graph import ProgramEditor, argument, is_call, shape_of

_ATEN = torch.ops.aten
_KINDS = tuple(getattr(_ATEN, name).vec for name in ("upsample_bicubic2d", "_upsample_bicubic2d_aa", "_upsample_bilinear2d_aa"))
_MOST = 2**20
"""Values of a matrix; 4 MB."""


@frozen
class _Plan:
    """What to multiply rows with from the left, ``(H', H)``, and columns from the right, ``(W, W')``."""

    rows: Tensor
    columns: Tensor


class ResizesByProducts:
    """Resize by matrices."""

    name = "resizes_by_products"

    def match(self, node: fx.Node, editor: ProgramEditor) -> bool:
        """A bicubic resizing, or one with antialias."""
        del editor
        return is_call(node, *_KINDS)

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


def _of_side(node: fx.Node, side: int) -> Tensor:
    """Return the matrix of rows (0) or columns (1): the operator itself, on unit vectors along that side, which the other repeats."""
    before, after = shape_of(argument(node, 0, "input"))[-2:], shape_of(node)[-2:]
    size = before[side]
    units = (
        torch.eye(size).reshape(1, size, size, 1).expand(1, size, size, before[1])
        if side == 0
        else torch.eye(size).reshape(1, size, 1, size).expand(1, size, before[0], size)
    )
    rest = dict(zip(("output_size", "align_corners", "scale_factors"), node.args[1:], strict=False)) | {
        name: value for name, value in node.kwargs.items() if name != "input"
    }
    resized: Tensor = node.target(units.double().contiguous(), **rest)  # type: ignore[operator]
    assert tuple(resized.shape[-2:]) == after  # noqa: S101  the same arguments give the same size
    along = resized[0, :, :, 0].T if side == 0 else resized[0, :, 0, :]
    return along.float().contiguous()
