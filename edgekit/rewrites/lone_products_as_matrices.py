"""A product of matrices that is alone in its batch, whose left factor lies transposed -> a product of rank 2.

    before   y (1, M, N) = matmul(a (1, M, K), b (1, K, N))        a = x (1, K, M) transposed, plus a parameter, say
    after    y = reshape(mm(reshape(a) (M, K), reshape(b) (K, N)))

Exact. LiteRT's converter (litert-torch 0.10.0) moves the transposition into the product, makes a fully connected layer of it, and forgets the
transposition: other numbers where M = K, a file that does not load elsewhere. Tokens that come from a convolution are such a factor.
"""

import math
from typing import cast

import torch
from torch import fx

from edgekit.capabilities import TargetFacts
from edgekit.rewrites.base import Refusal
from edgekit.rewrites.graph import ProgramEditor, is_call, shape_of

_ATEN = torch.ops.aten
_PRODUCTS = (_ATEN.bmm.default, _ATEN.matmul.default)
_TRANSPOSITIONS = (_ATEN.transpose.int, _ATEN.permute.default, _ATEN.mT.default, _ATEN.adjoint.default)
_FURTHEST = 12
"""Operators between a transposition and the product."""


class LoneProductsAsMatrices:
    """Multiply matrices without a batch of one."""

    name = "lone_products_as_matrices"

    def match(self, node: fx.Node, editor: ProgramEditor) -> bool:
        """A product of batch 1 whose left factor comes from a transposition, by nothing but operators on each value."""
        del editor
        if not is_call(node, *_PRODUCTS):
            return False
        shapes = [shape_of(cast(fx.Node, factor)) for factor in node.args[:2]]
        if any(len(shape) < 3 or math.prod(shape[:-2]) != 1 for shape in shapes):
            return False
        return _from_transposition(cast(fx.Node, node.args[0]), _FURTHEST)

    def check(self, node: fx.Node, editor: ProgramEditor, target: TargetFacts) -> tuple[()] | Refusal:
        """Nothing stands against it."""
        del node, editor, target
        return ()

    def replace(self, node: fx.Node, plan: tuple[()], editor: ProgramEditor) -> list[tuple[fx.Node, fx.Node]]:
        """Insert the product and the reshapes around it."""
        del plan
        factors = [cast(fx.Node, factor) for factor in node.args[:2]]
        flat = [editor.call(_ATEN.reshape.default, factor, list(shape_of(factor)[-2:]), before=node) for factor in factors]
        product = editor.call(_ATEN.mm.default, *flat, before=node)
        return [(node, editor.call(_ATEN.reshape.default, product, list(shape_of(node)), before=node))]


def _from_transposition(node: fx.Node, steps: int) -> bool:
    if is_call(node, *_TRANSPOSITIONS):
        return True
    if steps == 0 or node.op != "call_function" or not isinstance(node.meta.get("val"), torch.Tensor):
        return False
    alike = [source for source in node.all_input_nodes if isinstance(source.meta.get("val"), torch.Tensor) and shape_of(source) == shape_of(node)]
    return any(_from_transposition(source, steps - 1) for source in alike)
