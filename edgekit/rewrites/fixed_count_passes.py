"""Passes over the regions above a percentile -> passes over a fixed number of regions, by top-k and gather or by one-hot products.

    before   keep = s > quantile(s, beta)   h = active[keep]                                       as many as the image has it
    after    h = active[the k highest], k = n - 1 - floor((n - 1) * beta)                          (1, 1 + k, C)

Exact for one image where no two scores at a threshold are equal. The forms:

| | fixed_count_gather | fixed_count_one_hot |
| --- | --- | --- |
| takes them by | top-k and their indices | ranks from counting, (k, n) one-hot product |
| two scores at the threshold equal | k are taken, any of the equal ones | k are taken, the first of the equal ones |
| eager then | takes none of the equal ones: fewer than k | the same |
| a NaN score (eager: no region) | the highest to torch's top-k, the lowest to onnxruntime's | every region becomes NaN |
| beta 0 | all, no selection | the same |
| beta 1, or one region and beta above 0 | the class token alone | the same |

Top-k and gather leave a delegate, and give wrong indices on some accelerators in half precision; products with a matrix of
zeros and ones are exact in any precision, and cost ``2 k n C`` multiply-adds a pass. Ranks are counted by clipped differences,
which delegates take, or (``fixed_count_one_hot_compared``) by comparisons, which hold in half precision, too; a NaN score is
then of rank 0, and its token is added to the highest one's.
Source: IMC-Net, arXiv 2507.21761, selection of regions; how many are above the percentile: ``ops/percentile_selection.py``.
"""

import functools
from collections.abc import Callable
from typing import Literal, cast

from attrs import frozen
from torch import Tensor, nn

from edgekit.capabilities import TargetFacts
from edgekit.errors import UsageError
from edgekit.ops.percentile_selection import PercentileSelection, kept_count
from edgekit.ops.region_moves import IndexMoves, OneHotMoves
from edgekit.ops.selective_passes import HierarchicalPasses
from edgekit.ops.static_passes import FixedCountPasses
from edgekit.rewrites.base import Refusal

_Move = IndexMoves | OneHotMoves
_MOVES: dict[str, Callable[[int, int], _Move]] = {
    "gather": IndexMoves,
    "one_hot": OneHotMoves,
    "one_hot_compared": functools.partial(OneHotMoves, compare=True),
}


@frozen
class PassCounts:
    """How many regions are there before the first pass, and in each."""

    counts: tuple[int, ...]

    @property
    def steps(self) -> tuple[tuple[int, int], ...]:
        """From how many to how many each pass narrows."""
        return tuple(zip(self.counts[:-1], self.counts[1:], strict=True))


@frozen
class FixedCountPassesForm:
    """Let each pass take the number of regions that its percentile leaves of distinct scores."""

    form: Literal["gather", "one_hot", "one_hot_compared"]

    @property
    def name(self) -> str:
        """``fixed_count_gather``, ``fixed_count_one_hot``, ``fixed_count_one_hot_compared``."""
        return f"fixed_count_{self.form}"

    def match(self, module: nn.Module) -> bool:
        """Hierarchical passes in their natural form, whatever their core block and selectors are."""
        return isinstance(module, HierarchicalPasses)

    def check(self, module: HierarchicalPasses, x: Tensor, target: TargetFacts) -> PassCounts | Refusal:
        """Refuse batches, percentiles that fall on a score, and targets that cannot take regions in this form."""
        if reason := target.limit(f"no_{self.name}"):
            return Refusal(str(reason))
        return pass_counts(module, x)

    def replace(self, module: HierarchicalPasses, plan: PassCounts) -> nn.Module:
        """Build the static passes around the same core block and selectors."""
        moves: list[_Move | None] = [None if before == after else _MOVES[self.form](before, after) for before, after in plan.steps]
        return FixedCountPasses(module.core, module.selectors, moves, alpha=module.alpha)


def pass_counts(module: HierarchicalPasses, x: Tensor) -> PassCounts | Refusal:
    """Count the regions of each pass for tokens like ``x``, ``(1, 1 + N, C)``."""
    if x.shape[0] != 1:
        return Refusal(f"each image of a batch keeps regions of its own; a static form takes one image, not {x.shape[0]}")
    counts = [x.shape[1] - 1]
    try:
        for selection in module.selections:
            counts.append(kept_count(counts[-1], cast(PercentileSelection, selection).beta))
    except UsageError as error:
        return Refusal(f"{error.summary}: {error.why}")
    return PassCounts(tuple(counts))
