"""Passes over the regions above a percentile -> passes over all tokens, in which the others are masked.

    before   keep = s > quantile(s, beta)   h = active[keep]   h' = alpha * s * F(h) + h               (1, 1 + k, C)
    after    m = 1 where no more than k scores reach s_i       h' = alpha * s * m * F(h, keys m) + h   (1, 1 + N, C)

| case | this form |
| --- | --- |
| two scores at the threshold equal | as eager: neither takes part |
| a NaN score | every region becomes NaN (eager: no region takes part) |
| beta 0 | all take part, no mask |
| beta 1, or one region and beta above 0 | the class token alone |

Exact for one image in real arithmetic, whatever the scores, as long as they are 2**-70 or more: a masked key's weight is
exp of -40000 and 0 in float32. It computes every token in every pass (imcnet-b16: 8.84G multiply-adds instead of 7.39G), and is
the only static form of a budget, whose passes have as many regions as the image wants.
Source: IMC-Net, arXiv 2507.21761, selection of regions and pass control.
"""

import inspect
from typing import cast

from attrs import frozen
from torch import Tensor, nn

from edgekit.capabilities import TargetFacts
from edgekit.ops.region_order import HighestRegions
from edgekit.ops.selective_passes import BudgetedPasses, HierarchicalPasses
from edgekit.ops.static_passes import MaskedBudgetedPasses, MaskedPasses
from edgekit.rewrites.base import Refusal
from edgekit.rewrites.fixed_count_passes import PassCounts, pass_counts


@frozen
class _NoPlan:
    """There is nothing to know."""


class DenseMaskPasses:
    """Compute all tokens in every pass, and mask those that are not among the highest."""

    name = "dense_mask_passes"

    def match(self, module: nn.Module) -> bool:
        """Hierarchical passes in their natural form, or with a budget."""
        return isinstance(module, (HierarchicalPasses, BudgetedPasses))

    def check(self, module: HierarchicalPasses | BudgetedPasses, x: Tensor, target: TargetFacts) -> PassCounts | _NoPlan | Refusal:
        """Refuse batches, core blocks that take no mask, and percentiles that fall on a score."""
        del target
        if x.shape[0] != 1:
            return Refusal(f"each image of a batch keeps regions of its own; a static form takes one image, not {x.shape[0]}")
        if "mask" not in inspect.signature(module.core.forward).parameters:
            return Refusal(f"its core block {type(module.core).__name__} takes no mask, so attention would see the regions that are out")
        return _NoPlan() if isinstance(module, BudgetedPasses) else pass_counts(module, x)

    def replace(self, module: HierarchicalPasses | BudgetedPasses, plan: PassCounts | _NoPlan) -> nn.Module:
        """Build the static passes around the same core block and selectors."""
        if isinstance(module, BudgetedPasses) or isinstance(plan, _NoPlan):
            return MaskedBudgetedPasses(module.core, passes=cast(int, module.passes), alpha=module.alpha)
        highest = [None if before == after else HighestRegions(plan.counts[0], after) for before, after in plan.steps]
        return MaskedPasses(module.core, module.selectors, highest, alpha=module.alpha)
