"""Expands to the shape that is there already -> nothing.

    before   y = expand(x (1, 1, C), (1, -1, -1))          after   y = x

Exact. A network repeats its class token for every image of a batch; for one image there is nothing to repeat, but a delegate
that takes no expand is left there all the same.
"""

import torch
from torch import fx

from edgekit.capabilities import TargetFacts
from edgekit.rewrites.base import Refusal
from edgekit.rewrites.graph import ProgramEditor, argument, is_call, shape_of

_EXPAND = torch.ops.aten.expand.default


class DropIdleExpands:
    """Remove expands that repeat nothing."""

    name = "drop_idle_expands"

    def match(self, node: fx.Node, editor: ProgramEditor) -> bool:
        """An expand whose result has the shape of its input."""
        del editor
        return is_call(node, _EXPAND) and shape_of(node) == shape_of(argument(node, 0, "input"))

    def check(self, node: fx.Node, editor: ProgramEditor, target: TargetFacts) -> fx.Node | Refusal:
        """Refuse an expand that is an output: its input may be a constant or an input, which an output cannot be."""
        del editor, target
        if any(user.op == "output" for user in node.users):
            return Refusal("it is an output of the model")
        return argument(node, 0, "input")

    def replace(self, node: fx.Node, plan: fx.Node, editor: ProgramEditor) -> list[tuple[fx.Node, fx.Node]]:
        """Let the readers read the input."""
        del editor
        return [(node, plan)]
