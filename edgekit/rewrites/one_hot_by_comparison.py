"""Classes as rows of zeros and ones -> a comparison with all classes.

    before   y (..., n) = one_hot(i (...), n)          after   y = i (..., 1) == (0, 1, ..., n - 1), as whole numbers

Exact for classes from 0 to n - 1; torch stops at others, this gives a row of zeros. As torch takes it apart, one_hot asserts that its
classes are in range, for which LiteRT's converter has no operator.
"""

import torch
from torch import fx

from edgekit.capabilities import TargetFacts
from edgekit.rewrites.base import Refusal
from edgekit.rewrites.graph import ProgramEditor, argument, is_call, shape_of

_ATEN = torch.ops.aten
_MOST_CLASSES = 2**24
"""Whole numbers are exact in float32 up to here."""


class OneHotByComparison:
    """Compare classes instead of writing ones into zeros."""

    name = "one_hot_by_comparison"

    def match(self, node: fx.Node, editor: ProgramEditor) -> bool:
        """A one_hot."""
        del editor
        return is_call(node, _ATEN.one_hot.default)

    def check(self, node: fx.Node, editor: ProgramEditor, target: TargetFacts) -> int | Refusal:
        """Refuse more classes than float32 can number."""
        del editor, target
        classes = shape_of(node)[-1]
        return classes if classes <= _MOST_CLASSES else Refusal(f"its {classes} classes have no numbers of their own in float32")

    def replace(self, node: fx.Node, plan: int, editor: ProgramEditor) -> list[tuple[fx.Node, fx.Node]]:
        """Insert the comparison."""
        index = argument(node, 0, "self")
        classes = editor.add_constant(f"classes_up_to_{plan}", torch.arange(plan, dtype=torch.float32))
        given = editor.call(_ATEN.to.dtype, index, torch.float32, before=node)
        column = editor.call(_ATEN.reshape.default, given, [*shape_of(index), 1], before=node)
        same = editor.call(_ATEN.eq.Tensor, column, classes, before=node)
        return [(node, editor.call(_ATEN.to.dtype, same, torch.int64, before=node))]
