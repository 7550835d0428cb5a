"""The transpose of attention's keys -> part of the move that cuts them into windows.

    before   k -> cut to (windows * heads, tokens, D) -> transpose -> bmm
    after    k -> cut to (windows * heads, D, tokens) -> bmm

Exact. One move less for runtimes whose batched product takes its operands as they lie (ExecuTorch's XNNPACK
partitioner); others transpose for free inside the product.
"""

import attrs
from torch import Tensor, nn

from edgekit.capabilities import TargetFacts
from edgekit.ops.static_spanning_attention import AttentionPlan, StaticSpanningAttention
from edgekit.rewrites.base import Refusal


class TransposeKeys:
    """Cut k into windows with its tokens last."""

    name = "transpose_keys"

    def match(self, module: nn.Module) -> bool:
        """Static attention that transposes k behind the cut."""
        return isinstance(module, StaticSpanningAttention) and not module.plan.keys_transposed

    def check(self, module: StaticSpanningAttention, x: Tensor, target: TargetFacts) -> AttentionPlan | Refusal:
        """Refuse the forms that have channels first: their keys lie that way already."""
        del x, target
        if module.plan.form.layout == "channels_first":
            return Refusal("with channels first the keys lie transposed already")
        return attrs.evolve(module.plan, keys_transposed=True)

    def replace(self, module: StaticSpanningAttention, plan: AttentionPlan) -> nn.Module:
        """Turn the switch."""
        return module.with_plan(plan)
