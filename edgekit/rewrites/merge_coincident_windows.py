"""Neighbour and distant windows that are the same -> attended once, counted twice.

    before   near = merge(A(cut_near(q, k, v)))   far = merge(A(cut_far(q, k, v)))   y = near + far     (1, C, H, W)
    after    y = merge(2 A(cut_near(q, k, v)))                                                         (1, C, H, W)

where ``A`` is softmax attention inside a window; the 2 goes to its weights, ``(heads, T, T)``. Exact, to the bit, where
one window covers the padded map, ``H = W = window``: one row and one column of windows leave nothing to interleave.
That is so in EMOv2's stage 4 at 224 (window 7) and at 256 (window 8). Windows: arXiv 2412.06674, section 3.3; the identity is ours.
"""

import attrs
from torch import Tensor, nn

from edgekit.capabilities import TargetFacts
from edgekit.ops.static_spanning_attention import AttentionPlan, StaticSpanningAttention
from edgekit.rewrites.base import Refusal


class MergeCoincidentWindows:
    """Attend once and double, where neighbour and distant windows are the same: one window covers the padded map."""

    name = "merge_coincident_windows"

    def match(self, module: nn.Module) -> bool:
        """Static attention over two partitions."""
        return isinstance(module, StaticSpanningAttention) and not module.plan.coincident

    def check(self, module: StaticSpanningAttention, x: Tensor, target: TargetFacts) -> AttentionPlan | Refusal:
        """Refuse maps of several windows."""
        del x, target
        if module.grid.windows != 1:
            return Refusal(f"the map has {module.grid.windows} windows, so neighbour and distant windows hold different tokens")
        return attrs.evolve(module.plan, coincident=True)

    def replace(self, module: StaticSpanningAttention, plan: AttentionPlan) -> nn.Module:
        """Turn the switch."""
        return module.with_plan(plan)
