"""Runs an eager network with regions that it is given, and tells which of them it would not have taken itself.

    pass p    scores of the regions that are up    own = scores > threshold    goes on with: the given ones

Every pass is asked on what the given regions of the passes before made of the tokens, so a region that was taken or left
otherwise is named once, in the pass where that happened, and not again in those behind it.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from attrs import frozen
from torch import Tensor, nn

from edgekit.ops.percentile_selection import PercentileSelection
from edgekit.ops.selective_passes import HierarchicalPasses

Regions = Mapping[str, Sequence[Tensor]]
"""By the path of a module that selects: for each of its passes which regions take part, ``(N,)`` boolean, all among those of the pass before."""


@frozen(kw_only=True)
class OtherRegion:
    """A region that the eager network, asked by its own scores, would have left (``taken``) or taken.

    :param site: the module that selects; ``number`` the pass, from 1; ``region`` from 0.
    :param gap: how far its eager score is from the pass's threshold, relative to the threshold; ``None`` where that is no number above 0.
    """

    site: str
    number: int
    region: int
    taken: bool
    gap: float | None


def run_with_regions(model: nn.Module, inputs: Sequence[Tensor], regions: Regions) -> tuple[Any, tuple[OtherRegion, ...]]:
    """Run a model on one image; return what it gives, and where the regions are not its own choice.

    :param regions: of each :class:`HierarchicalPasses` to be told; others select as ever.
    """
    other: list[OtherRegion] = []
    with ExitStack() as stack, torch.no_grad():
        for site, masks in regions.items():
            stack.enter_context(_handing_out(model.get_submodule(site), site, masks, other))
        return model(*inputs), tuple(other)


@contextmanager
def _handing_out(passes: nn.Module, site: str, masks: Sequence[Tensor], other: list[OtherRegion]) -> Iterator[None]:
    """Let the selections of a module give ``masks``, one a pass, and add to ``other`` what they would have given."""
    if not isinstance(passes, HierarchicalPasses):
        raise TypeError(f"{site} is a {type(passes).__name__}, which takes no regions from outside")
    numbers = itertools.count()

    def instead(selection: PercentileSelection, given: tuple[Tensor, ...], own: Tensor) -> Tensor:
        index = next(numbers)
        up = masks[index - 1] if index else torch.ones_like(masks[0])
        asked = masks[index][up]
        places = up.nonzero().flatten()
        for place in (asked != own[0]).nonzero().flatten().tolist():
            gap = _gap(given[0][0], place, selection.beta)
            other.append(OtherRegion(site=site, number=index + 1, region=int(places[place]), taken=bool(asked[place]), gap=gap))
        return asked[None]

    # Passes ask one after the other, so counting the calls tells them apart even where two share a selection.
    handles = [selection.register_forward_hook(instead) for selection in {id(one): one for one in passes.selections}.values()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _gap(scores: Tensor, place: int, beta: float) -> float | None:
    threshold = float(torch.quantile(scores, beta))
    return abs(float(scores[place]) - threshold) / threshold if threshold > 0 else None
