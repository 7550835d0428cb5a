"""Fourier transforms between real values -> products with cosines and sines.

    before   y = irfft2(rfft2(x (B, C, H, W)) * view_as_complex(f (C, H, W // 2 + 1, 2)))          real(fft(fft(t)))
    after    each complex value is two real ones; a transform of an axis of n values is a product with two (n, n) matrices of cosines and sines

Exact but for the order of sums: torch's fast transform adds in a tree. n log n becomes n * n, which for the axes of a map (7 to 64) is as fast in a
kernel for products of matrices. No runtime but onnxruntime has transforms, none has complex numbers. A length that cuts off or fills up, the three
norms and spectra's arithmetic, moves and products are taken along (:mod:`edgekit.rewrites.complex_pairs`); fast Fourier mixers: FNet, GFNet, AFNO.
"""

import torch
from torch import fx

from edgekit.capabilities import TargetFacts
from edgekit.rewrites.base import Refusal
from edgekit.rewrites.complex_pairs import TO_REAL, PairBuilder, axes_of, is_complex, obstacle
from edgekit.rewrites.graph import ProgramEditor, argument, is_call, shape_of

_ATEN = torch.ops.aten
_READS = (_ATEN.real.default, _ATEN.imag.default, _ATEN.view_as_real.default, _ATEN.abs.default)
_LONGEST = 1024
"""Values of the longest axis; its two matrices take 8 MB then."""


class SpectraByProducts:
    """Take complex numbers apart wherever they become real again."""

    name = "spectra_by_products"

    def match(self, node: fx.Node, editor: ProgramEditor) -> bool:
        """A real value computed of a complex one."""
        del editor
        return is_call(node, *TO_REAL) or (is_call(node, *_READS) and is_complex(node.args[0]))

    def check(self, node: fx.Node, editor: ProgramEditor, target: TargetFacts) -> tuple[()] | Refusal:
        """Refuse what is not known of complex numbers on the way here, and long axes."""
        del editor, target
        source = argument(node, 0, "self")
        if (reason := obstacle(source)) is not None:
            return Refusal(reason)
        longest = max((size for size in (*shape_of(source), *shape_of(node))), default=1)
        return () if longest <= _LONGEST else Refusal(f"it transforms {longest} values along an axis; up to {_LONGEST} it is done")

    def replace(self, node: fx.Node, plan: tuple[()], editor: ProgramEditor) -> list[tuple[fx.Node, fx.Node]]:
        """Insert the products in front of the value that is real again."""
        del plan
        builder = PairBuilder(editor, node, {})
        real, imaginary = self._source(argument(node, 0, "self"), builder)
        return [(node, self._result(node, real, imaginary, builder))]

    @staticmethod
    def _source(source: fx.Node, builder: PairBuilder) -> tuple[fx.Node, fx.Node]:
        if is_complex(source):
            return builder.pair(source)
        return source, builder.call(_ATEN.zeros_like.default, source)  # an inverse transform of real numbers

    @staticmethod
    def _result(node: fx.Node, real: fx.Node, imaginary: fx.Node, builder: PairBuilder) -> fx.Node:
        if is_call(node, _ATEN.real.default):
            return real
        if is_call(node, _ATEN.imag.default):
            return imaginary
        if is_call(node, _ATEN.view_as_real.default):
            return builder.call(_ATEN.stack.default, [real, imaginary], -1)
        if is_call(node, _ATEN.abs.default):
            squares = [builder.call(_ATEN.mul.Tensor, part, part) for part in (real, imaginary)]
            return builder.call(_ATEN.sqrt.default, builder.call(_ATEN.add.Tensor, *squares))
        *others, last = axes_of(node)
        for axis in others:
            real, imaginary = builder.along(axis, real, imaginary, inverse=True)
        return builder.real_along(last, real, imaginary)
