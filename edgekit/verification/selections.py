"""Which regions a network selects, in its natural form and in the one that was lowered: the sets, not what comes of them.

A region more or less changes an answer by little, so outputs alone could hide a wrong selection. Here the eager model and
the module that its program was captured from are run in float32 on every sample, and the regions of every pass compared.

What an artifact makes of that module is compared by its outputs, and by the regions inside it where it can be looked into
(``regions.py``): it takes others only where two scores at a threshold are closer than its numbers tell apart. ``closest`` is how
close they come: the smallest difference, over samples and passes, of the lowest score that is kept and the highest that is not, relative
to the latter. Samples below ``NEAR_TIE`` are counted; there float32 on another machine may select otherwise.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import torch
from attrs import frozen
from torch import Tensor, nn

from edgekit.interface import Preprocessing
from edgekit.ops.selective_passes import BudgetedPasses, HierarchicalPasses, PassesOutput
from edgekit.ops.static_passes import FixedCountPasses, MaskedBudgetedPasses, MaskedPasses
from edgekit.verification.samples import Sample, verification_samples

NEAR_TIE = 1e-5
SAMPLES = 64
"""On how many inputs a network that selects is compared; others are on nine."""

_SELECTING = (HierarchicalPasses, BudgetedPasses, FixedCountPasses, MaskedPasses, MaskedBudgetedPasses)


@frozen(kw_only=True)
class Selections:
    """The comparison of what was selected.

    :param sites: the modules that select; ``passes`` of all of them, each compared on all ``samples``.
    :param regions: how many took part in each pass, the fewest and the most over the samples, by site.
    :param differing: samples on which some pass of the lowered form has other regions than eager.
    :param near_ties: samples on which two scores at a threshold are closer than ``NEAR_TIE``; ``closest`` is the smallest distance.
    """

    sites: tuple[str, ...]
    passes: int
    samples: int
    regions: Mapping[str, tuple[tuple[int, int], ...]]
    differing: tuple[str, ...]
    near_ties: tuple[str, ...]
    closest: float | None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return attrs.asdict(self)


def selects(model: nn.Module) -> bool:
    """Whether some module of a model selects regions."""
    return any(isinstance(module, _SELECTING) for module in model.modules())


def samples_for(model: nn.Module, preprocessing: Preprocessing, count: int | None = None) -> tuple[Sample, ...]:
    """Return the inputs to compare a model on.

    :param count: ``None``: nine, or 64 for a model that selects.
    """
    if count is None:
        return verification_samples(preprocessing, SAMPLES) if selects(model) else verification_samples(preprocessing)
    return verification_samples(preprocessing, count)


Selected = tuple[dict[str, PassesOutput], ...]
"""For each sample, what each module that selects gave, by its path; without its tokens."""


def selected(model: nn.Module, samples: Sequence[Sample]) -> Selected:
    """Run a model on all samples, and keep what it selected."""
    return tuple(_selected(model, torch.from_numpy(sample.tensor.copy())) for sample in samples)


def compare_selections(eager: Selected, lowered: Selected, samples: Sequence[Sample]) -> Selections | None:
    """Compare the regions of every pass on every sample; None where nothing is selected.

    :param lowered: of the module that the program was captured from; a site that no rewrite took has the same module there.
    """
    if not any(eager):
        return None
    differing, near, counts, closest = [], [], dict[str, list[list[int]]](), float("inf")
    for sample, expected, actual in zip(samples, eager, lowered, strict=True):
        if expected.keys() != actual.keys() or any(not _same(expected[site], actual[site]) for site in expected):
            differing.append(sample.name)
        gap = min((_gap(output) for output in expected.values()), default=float("inf"))
        closest = min(closest, gap)
        if gap < NEAR_TIE:
            near.append(sample.name)
        for site, output in expected.items():
            counts.setdefault(site, []).append([int(mask.sum()) for mask in output.regions])
    return Selections(
        sites=tuple(counts),
        passes=sum(len(rows[0]) for rows in counts.values()),
        samples=len(samples),
        regions={site: tuple((min(column), max(column)) for column in zip(*rows, strict=True)) for site, rows in counts.items()},
        differing=tuple(differing),
        near_ties=tuple(near),
        closest=None if closest == float("inf") else closest,
    )


def _selected(model: nn.Module, image: Tensor) -> dict[str, PassesOutput]:
    """Run a model and return what each module that selects gave, by its path."""
    found: dict[str, PassesOutput] = {}

    def keep(path: str) -> Any:
        return lambda _module, _given, output: found.update({path: output._replace(tokens=output.tokens[:, :0])})

    handles = [module.register_forward_hook(keep(path)) for path, module in model.named_modules() if isinstance(module, _SELECTING)]
    try:
        with torch.no_grad():
            model(image)
    finally:
        for handle in handles:
            handle.remove()
    return found


def _same(ours: PassesOutput, theirs: PassesOutput) -> bool:
    return len(ours.regions) == len(theirs.regions) and all(torch.equal(*pair) for pair in zip(ours.regions, theirs.regions, strict=True))


def _gap(output: PassesOutput) -> float:
    """Return the smallest distance at a threshold over the passes.

    There is none where a pass keeps all or none of the regions that were up, nor where a budget and not the scores decides.
    """
    smallest = float("inf")
    up = torch.ones_like(output.regions[0])
    for kept, log_odds in zip(output.regions, output.log_odds, strict=True):
        scores = log_odds.sigmoid()
        dropped = up & ~kept
        if bool(kept.any()) and bool(dropped.any()):
            lowest, highest = float(scores[kept].min()), float(scores[dropped].max())
            if lowest >= highest > 0:
                smallest = min(smallest, (lowest - highest) / highest)
        up = kept
    return smallest
