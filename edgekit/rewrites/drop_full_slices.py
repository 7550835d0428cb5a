"""A slice that takes everything -> nothing.

    before   y (B, C, H, W) = x[:, :C, 0:H]          after   y = x

Exact. ``x[:, :, :h]`` is captured as one slice for every colon, and torch decomposes those that take a whole axis to
``aten.alias``, which Core ML Tools has no operator for and ExecuTorch runs as a copy.
"""

import torch
from torch import fx

from edgekit.capabilities import TargetFacts
from edgekit.rewrites.graph import ProgramEditor, argument, is_call, shape_of

_SLICE = torch.ops.aten.slice.Tensor


class DropFullSlices:
    """Read a slice's source instead, where it takes the whole axis."""

    name = "drop_full_slices"

    def match(self, node: fx.Node, editor: ProgramEditor) -> bool:
        """A slice with constant bounds that leaves nothing out."""
        del editor
        if not is_call(node, _SLICE) or argument(node, 4, "step", 1) != 1:
            return False
        size = shape_of(argument(node, 0, "self"))[argument(node, 1, "dim", 0)]
        start, end = argument(node, 2, "start"), argument(node, 3, "end")
        return _counted(start, 0, size) <= 0 and _counted(end, size, size) >= size

    def check(self, node: fx.Node, editor: ProgramEditor, target: TargetFacts) -> fx.Node:
        """Nothing stands against it; the plan is what the slice is taken from."""
        del editor, target
        source: fx.Node = argument(node, 0, "self")
        return source

    def replace(self, node: fx.Node, plan: fx.Node, editor: ProgramEditor) -> list[tuple[fx.Node, fx.Node]]:
        """Read the source."""
        del editor
        return [(node, plan)]


def _counted(bound: int | None, default: int, size: int) -> int:
    """Return a bound counted from the front."""
    if bound is None:
        return default
    return bound + size if bound < 0 else bound
