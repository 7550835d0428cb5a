"""The factor on attention's scores -> into the weights of q.

    before   q = W x + b                  (B, T, D)     softmax(s * bmm(q, k^T))    s * (B, T, T)
    after    q = (s W) x + s b            (B, T, D)     softmax(bmm(q, k^T))            (B, T, T)

with ``s = 1 / sqrt(D)``, ``B`` windows times heads and ``T`` tokens a window. Exact in real arithmetic, always; in
floating point even to the bit where s is a power of two (D = 16), and otherwise rounded once, in the weights.
Attention and its factor: EMOv2, arXiv 2412.06674, section 3.3; the identity is ours.
"""

import attrs
import torch
from torch import Tensor, nn

from edgekit.capabilities import TargetFacts
from edgekit.ops.static_spanning_attention import AttentionPlan, StaticSpanningAttention
from edgekit.rewrites.base import Refusal


class FoldAttentionScale:
    """Multiply q's weights and bias by ``1 / sqrt(head dim)`` once, here, instead of the scores at every run."""

    name = "fold_attention_scale"

    def match(self, module: nn.Module) -> bool:
        """Static attention that still scales its scores."""
        return isinstance(module, StaticSpanningAttention) and module.plan.scale is not None

    def check(self, module: StaticSpanningAttention, x: Tensor, target: TargetFacts) -> AttentionPlan | Refusal:
        """Nothing stands against it."""
        del x, target
        return attrs.evolve(module.plan, scale=None)

    def replace(self, module: StaticSpanningAttention, plan: AttentionPlan) -> nn.Module:
        """Scale q's rows."""
        changed = module.with_plan(plan)
        with torch.no_grad():
            for parameter in changed.q.parameters():
                parameter.copy_(parameter.double() * (module.plan.scale or 1.0))
        return changed
