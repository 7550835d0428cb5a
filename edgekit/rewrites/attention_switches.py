"""The three exact identities of static spanning attention, each a rewrite that turns one switch.

fold_attention_scale        softmax(s q k^T) v            ->  softmax((s q) k^T) v, s inside q's weights
merge_coincident_windows    A(neighbour) + A(distant)     ->  2 A, where one window covers the map
batch_window_partitions     A(neighbour) + A(distant)     ->  one batched product, then split and added
"""

import copy

import attrs
import torch
from torch import Tensor, nn

from edgekit.capabilities import TargetFacts
from edgekit.ops.static_spanning_attention import AttentionPlan, StaticSpanningAttention
from edgekit.rewrites.base import Refusal


def _with_plan(module: StaticSpanningAttention, plan: AttentionPlan) -> StaticSpanningAttention:
    changed = copy.deepcopy(module)
    changed.plan = plan
    return changed


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
        changed = _with_plan(module, plan)
        with torch.no_grad():
            for parameter in changed.q.parameters():
                parameter.copy_(parameter.double() * (module.plan.scale or 1.0))
        return changed


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
        return _with_plan(module, plan)


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
        return _with_plan(module, plan)
