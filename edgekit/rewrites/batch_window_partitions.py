"""Neighbour and distant attention one after the other -> in one batched product.

    before   near = A(cut_near(q, k, v))     far = A(cut_far(q, k, v))            (B, T, D) each
    after    near, far = chunk(A(cat(cut_near(q, k, v), cut_far(q, k, v))))       (2 B, T, D) in one
    then     y = merge_near(near) + merge_far(far)                                (1, C, H, W)

with ``B`` windows times heads and ``T`` tokens a window. Exact: no window sees another. Half the products and softmaxes,
at the price of copies into one batch. Windows: EMOv2, arXiv 2412.06674, section 3.3; the identity is ours.
"""

import attrs
from torch import Tensor, nn

from edgekit.capabilities import TargetFacts
from edgekit.ops.static_spanning_attention import AttentionPlan, StaticSpanningAttention
from edgekit.rewrites.base import Refusal


class BatchWindowPartitions:
    """Attend over neighbour and distant windows in one batched product."""

    name = "batch_window_partitions"

    def match(self, module: nn.Module) -> bool:
        """Static attention that takes its partitions one after the other."""
        return isinstance(module, StaticSpanningAttention) and not module.plan.batched

    def check(self, module: StaticSpanningAttention, x: Tensor, target: TargetFacts) -> AttentionPlan | Refusal:
        """Refuse where there is only one partition to compute."""
        del x, target
        if module.plan.coincident:
            return Refusal("both partitions coincide and are computed once already")
        return attrs.evolve(module.plan, batched=True)

    def replace(self, module: StaticSpanningAttention, plan: AttentionPlan) -> nn.Module:
        """Turn the switch."""
        return module.with_plan(plan)
