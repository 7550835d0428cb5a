"""Two permutes in a row -> one, or none.

    before   y = permute(permute(x, a), b)          after   y = permute(x, a[b])   or x, where a[b] moves nothing

Exact. EMOv2's channel norms end by moving the channels back to the front, and the attention behind them starts by moving
them to the end again.
"""

import torch
from attrs import frozen
from torch import fx

from edgekit.capabilities import TargetFacts
from edgekit.rewrites.graph import ProgramEditor, argument, is_call

_PERMUTE = torch.ops.aten.permute.default


@frozen
class _Plan:
    source: fx.Node
    order: tuple[int, ...]


class MergePermutes:
    """Replace a permute of a permute by the one that does both, or by nothing."""

    name = "merge_permutes"

    def match(self, node: fx.Node, editor: ProgramEditor) -> bool:
        """A permute that reads a permute."""
        del editor
        return is_call(node, _PERMUTE) and is_call(node.args[0], _PERMUTE)

    def check(self, node: fx.Node, editor: ProgramEditor, target: TargetFacts) -> _Plan:
        """Nothing stands against it: readers of the first permute keep it."""
        del editor, target
        first = argument(node, 0, "input")
        inner, outer = argument(first, 1, "dims"), argument(node, 1, "dims")
        rank = len(inner)
        return _Plan(argument(first, 0, "input"), tuple(inner[axis % rank] % rank for axis in outer))

    def replace(self, node: fx.Node, plan: _Plan, editor: ProgramEditor) -> list[tuple[fx.Node, fx.Node]]:
        """Read the source of both, through one permute if the two do not cancel."""
        if plan.order == tuple(range(len(plan.order))):
            return [(node, plan.source)]
        return [(node, editor.call(_PERMUTE, plan.source, list(plan.order), before=node))]
