"""Spatial mean that drops its axes -> one that keeps them, and a reshape.

    before   y (B, C) = mean(x, (2, 3))          after   y = reshape(mean(x, (2, 3), keepdim), (B, C))

Exact. ExecuTorch's XNNPACK partitioner takes a global average pool only with its axes kept; without them one mean stays
outside and cuts the network in two.
"""

from typing import Any

import torch
from torch import fx

from edgekit.capabilities import TargetFacts
from edgekit.rewrites.base import Refusal
from edgekit.rewrites.graph import ProgramEditor, argument, is_call, shape_of

_MEAN = torch.ops.aten.mean.dim
_RESHAPE = torch.ops.aten.reshape.default


class KeepMeanAxes:
    """Let a mean over rows and columns keep its axes."""

    name = "keep_mean_axes"

    def match(self, node: fx.Node, editor: ProgramEditor) -> bool:
        """A mean of a map that drops axes."""
        del editor
        return is_call(node, _MEAN) and not argument(node, 2, "keepdim", default=False) and len(shape_of(argument(node, 0, "input"))) == 4

    def check(self, node: fx.Node, editor: ProgramEditor, target: TargetFacts) -> fx.Node | Refusal:
        """Refuse means over other axes than rows and columns."""
        del editor, target
        x = argument(node, 0, "input")
        axes = sorted(axis % 4 for axis in argument(node, 1, "dim") or range(4))
        return x if axes == [2, 3] else Refusal(f"it averages over axes {axes}, not over rows and columns")

    def replace(self, node: fx.Node, plan: fx.Node, editor: ProgramEditor) -> list[tuple[fx.Node, fx.Node]]:
        """Insert the mean and the reshape."""
        pooled = editor.call(_MEAN, plan, [2, 3], True, before=node, **_dtype(node))
        return [(node, editor.call(_RESHAPE, pooled, list(shape_of(node)), before=node))]


def _dtype(node: fx.Node) -> dict[str, Any]:
    """Return the dtype a mean is asked to compute in, as it was given."""
    return {name: value for name, value in node.kwargs.items() if name == "dtype"}
