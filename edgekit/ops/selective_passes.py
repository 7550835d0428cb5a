"""One core block, applied several times to ever fewer tokens: the middle of IMC-Net, in its data-dependent form.

    pass p:   select      keep = which active regions take part
              gather      h = active[keep], the class token with them; the dropped ones go home
              block       F(h): attention among the kept tokens alone
              gate        h' = alpha * s * F(h) + h
    at the end:  scatter  the active tokens go home

``HierarchicalPasses`` selects by each pass's scores, ``BudgetedPasses`` by depths assigned beforehand. How many regions are kept
may differ between images, so both go image by image: the tensors of a batch would be ragged. A static form of either takes
and gives the same.

Source: IMC-Net, arXiv 2507.21761: pass control, gate, representation caching.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from edgekit.ops.percentile_selection import PercentileSelection
from edgekit.ops.region_scores import Budget, RegionSelectors
from edgekit.ops.representation_cache import RepresentationCache

_Step = Callable[[int, RepresentationCache], tuple[Tensor, Tensor]]


class PassesOutput(NamedTuple):
    """The tokens, ``(B, 1 + N, C)``, and for each pass which regions took part and with what log-odds.

    ``regions[p]`` is ``(B, N)`` boolean. ``log_odds[p]``, ``(B, N)``, holds those of the regions that were up for selection in
    pass p (``regions[p - 1]``; in the first pass all), and 0 elsewhere.
    """

    tokens: Tensor
    regions: tuple[Tensor, ...]
    log_odds: tuple[Tensor, ...]


class HierarchicalPasses(nn.Module):
    """Each pass scores the active tokens anew and narrows the active regions to those above a percentile of their scores.

    The class token takes no part in the selection, and is gated by its own score.
    """

    def __init__(self, core: nn.Module, selectors: RegionSelectors, selections: Iterable[PercentileSelection], *, alpha: float) -> None:
        super().__init__()
        self.core = core
        self.selectors = selectors
        self.selections = nn.ModuleList(selections)
        self.alpha = alpha

    def forward(self, tokens: Tensor) -> PassesOutput:
        """Map tokens ``(B, 1 + N, C)``, the class token first, to what the passes make of them."""

        def select(index: int, cache: RepresentationCache) -> tuple[Tensor, Tensor]:
            log_odds = self.selectors(cache.active, index)
            keep = self.selections[index](log_odds[None, 1:].sigmoid())[0]
            return keep, log_odds

        return _batched([_run(image, self.core, select, passes=len(self.selections), alpha=self.alpha) for image in tokens])


class BudgetedPasses(nn.Module):
    """Pass p takes the regions whose assigned depth is p or more, and the class token; the gate is the router's, the same in all passes."""

    def __init__(self, core: nn.Module, *, passes: int, alpha: float) -> None:
        super().__init__()
        self.core = core
        self.passes = passes
        self.alpha = alpha

    def forward(self, tokens: Tensor, budget: Budget) -> PassesOutput:
        """Map tokens ``(B, 1 + N, C)``, the class token first, and their budget to what the passes make of them."""

        def one(image: Tensor, depths: Tensor, log_odds: Tensor) -> PassesOutput:
            def select(index: int, cache: RepresentationCache) -> tuple[Tensor, Tensor]:
                active = cache.active_regions()
                return depths[active] > index, log_odds[torch.cat([active.new_ones(1), active])]

            return _run(image, self.core, select, passes=self.passes, alpha=self.alpha)

        return _batched([one(*image) for image in zip(tokens, *budget, strict=True)])


def _run(tokens: Tensor, core: nn.Module, select: _Step, *, passes: int, alpha: float) -> PassesOutput:
    """Take one image's tokens, ``(1 + N, C)``, through all passes.

    ``select`` names the regions to keep, ``(n,)``, and gives the log-odds of the active tokens, ``(1 + n,)``.
    """
    cache = RepresentationCache(tokens)
    regions, asked = [], []
    for index in range(passes):
        keep, log_odds = select(index, cache)
        asked.append(cache.at_home(log_odds))
        kept = cache.keep(keep)
        regions.append(cache.active_regions())
        gate = alpha * log_odds[kept].sigmoid()[:, None]
        cache.active = gate * core(cache.active[None])[0] + cache.active
    return PassesOutput(cache.restored(), tuple(regions), tuple(asked))


def _batched(images: list[PassesOutput]) -> PassesOutput:
    """Stack what single images gave."""
    tokens, regions, log_odds = zip(*images, strict=True)
    return PassesOutput(
        torch.stack(tokens),
        tuple(torch.stack(one_pass) for one_pass in zip(*regions, strict=True)),
        tuple(torch.stack(one_pass) for one_pass in zip(*log_odds, strict=True)),
    )
