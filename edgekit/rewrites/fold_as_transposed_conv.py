"""Patches that overlap, added up into a map -> a transposed convolution whose kernels hold a single one.

    before   y (N, C, H, W) = fold(x (N, C * kh * kw, L), (H, W), (kh, kw), dilation, padding, stride)
    after    y = conv_transpose2d(x as (N * C, kh * kw, rows, columns), E (kh * kw, 1, kh, kw), ...)        E[i]: a one at place i

Exact but for the order of sums: what a kernel of zeros and ones adds is a value or nothing. Core ML Tools folds only what does not overlap, Core AI
and LiteRT load no scatter that adds, and ExecuTorch's stops while it runs.
"""

import torch
from attrs import frozen
from torch import fx

from edgekit.capabilities import TargetFacts
from edgekit.rewrites.base import Refusal
from edgekit.rewrites.graph import ProgramEditor, argument, is_call, shape_of

_ATEN = torch.ops.aten


@frozen
class _Plan:
    """The transposed convolution; all by row and column."""

    batch: int
    channels: int
    kernel: tuple[int, int]
    places: tuple[int, int]
    stride: list[int]
    padding: list[int]
    dilation: list[int]
    more: list[int]


class FoldAsTransposedConv:
    """Add up patches in a transposed convolution."""

    name = "fold_as_transposed_conv"

    def match(self, node: fx.Node, editor: ProgramEditor) -> bool:
        """A fold (``col2im``)."""
        del editor
        return is_call(node, _ATEN.col2im.default)

    def check(self, node: fx.Node, editor: ProgramEditor, target: TargetFacts) -> _Plan | Refusal:
        """Refuse patches without a batch."""
        del editor, target
        given = shape_of(argument(node, 0, "self"))
        if len(given) != 3:
            return Refusal("its patches have no axis for a batch")
        size, kernel, dilation, padding, stride = (list(argument(node, place, "")) for place in range(1, 6))
        sides = list(zip(size, kernel, dilation, padding, stride, strict=True))
        places = [(s + 2 * p - d * (k - 1) - 1) // t + 1 for s, k, d, p, t in sides]
        more = [s - ((n - 1) * t - 2 * p + d * (k - 1) + 1) for n, (s, k, d, p, t) in zip(places, sides, strict=True)]
        channels = given[1] // (kernel[0] * kernel[1])
        return _Plan(given[0], channels, (kernel[0], kernel[1]), (places[0], places[1]), stride, padding, dilation, more)

    def replace(self, node: fx.Node, plan: _Plan, editor: ProgramEditor) -> list[tuple[fx.Node, fx.Node]]:
        """Insert the transposed convolution."""
        rows, columns = plan.kernel
        ones = editor.add_constant(f"places_of_{rows}x{columns}", torch.eye(rows * columns).reshape(rows * columns, 1, rows, columns))
        x = editor.call(_ATEN.reshape.default, argument(node, 0, "self"), [plan.batch * plan.channels, rows * columns, *plan.places], before=node)
        y = editor.call(_ATEN.conv_transpose2d.input, x, ones, None, plan.stride, plan.padding, plan.more, 1, plan.dilation, before=node)
        return [(node, editor.call(_ATEN.reshape.default, y, list(shape_of(node)), before=node))]
