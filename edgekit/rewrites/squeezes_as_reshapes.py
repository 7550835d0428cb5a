"""Axes of length 1 that are taken away or put in -> reshapes.

    before   y (1, N) = squeeze(x (1, N, 1), -1)          after   y = reshape(x, (1, N))          unsqueeze alike

Exact. ExecuTorch's XNNPACK partitioner takes reshapes; most squeezes it leaves outside, where each cuts the network in two.
"""

import torch
from torch import fx

from edgekit.capabilities import TargetFacts
from edgekit.rewrites.base import Refusal
from edgekit.rewrites.graph import ProgramEditor, argument, is_call, shape_of

_OPS = (torch.ops.aten.squeeze.dim, torch.ops.aten.squeeze.dims, torch.ops.aten.squeeze.default, torch.ops.aten.unsqueeze.default)


class SqueezesAsReshapes:
    """Spell squeezes and unsqueezes as reshapes."""

    name = "squeezes_as_reshapes"

    def match(self, node: fx.Node, editor: ProgramEditor) -> bool:
        """A squeeze or an unsqueeze."""
        del editor
        return is_call(node, *_OPS)

    def check(self, node: fx.Node, editor: ProgramEditor, target: TargetFacts) -> list[int] | Refusal:
        """Return the shape of the result; nothing is refused."""
        del editor, target
        return list(shape_of(node))

    def replace(self, node: fx.Node, plan: list[int], editor: ProgramEditor) -> list[tuple[fx.Node, fx.Node]]:
        """Insert the reshape."""
        return [(node, editor.call(torch.ops.aten.reshape.default, argument(node, 0, "input"), plan, before=node))]
