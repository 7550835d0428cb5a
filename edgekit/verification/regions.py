"""Which regions an artifact takes, against those that eager takes, where the artifact can be looked into.

In half precision a score at a threshold may come out on its other side, and a region more or less moves the outputs by far more than
rounding does. So both are judged by themselves:

    regions   each that eager would not have taken, or not left, has to be a tie: its eager score no further from the pass's threshold,
              relative to it, than ``Tolerance.region_tie``
    outputs   of samples with such regions are compared with what eager gives with the artifact's regions, at the limits of all others

Where no value can be read (other targets; more than one call of a module; a sample whose values are no selection), and for a network whose
regions follow from budgets, outputs are compared with plain eager's, and other regions show as a failure there.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import torch
from attrs import frozen

from edgekit.outputs import named_outputs
from edgekit.verification.cases import Case
from edgekit.verification.forced_regions import OtherRegion, Regions, run_with_regions
from edgekit.verification.parity import Parity

Array = np.ndarray


@frozen(kw_only=True)
class RegionParity:
    """The comparison of regions.

    :param samples: those whose regions could be read.
    :param differing: by sample, the regions that eager's own scores would not have given.
    :param furthest: the largest distance of one of them from its threshold, relative to it; ``limit``: what it may be, ``None``: anything.
    """

    samples: int
    differing: Mapping[str, Sequence[OtherRegion]]
    furthest: float | None
    limit: float | None

    def reason(self) -> str | None:
        """Return what is wrong, or ``None``."""
        limit = self.limit
        if limit is None:
            return None
        wrong = [(name, row) for name, rows in self.differing.items() for row in rows if row.gap is None or row.gap > limit]
        if not wrong:
            return None
        name, row = max(wrong, key=lambda pair: math.inf if pair[1].gap is None else pair[1].gap)
        measured = "there is no threshold" if row.gap is None else f"its score is {row.gap:.1e} from the threshold, more than {limit:.1e}"
        regions, samples = len(wrong), len({sample for sample, _ in wrong})
        return (
            f"pass {row.number} of {row.site} {'takes' if row.taken else 'leaves'} region {row.region} on sample {name!r}, which eager does not: "
            f"{measured}; {regions} such on {samples} samples"
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return attrs.asdict(self)


def compare_regions(
    case: Case, taken: Sequence[Regions | None], names: Sequence[str], limit: float | None
) -> tuple[RegionParity, dict[str, list[Array]]]:
    """Run eager with the regions that an artifact took; return the comparison, and the outputs to compare the artifact's with.

    :param taken: by sample. :param names: of the samples. :param limit: ``Tolerance.region_tie``.
    """
    reference = {name: list(rows) for name, rows in case.outputs.items()}
    differing: dict[str, tuple[OtherRegion, ...]] = {}
    for index, (name, regions) in enumerate(zip(names, taken, strict=True)):
        if regions is None:
            continue
        given = [torch.from_numpy(value.copy()) for value in case.inputs[index].values()]
        result, other = run_with_regions(case.module, given, regions)
        if other:
            differing[name] = other
            for output, value in named_outputs(result).items():
                reference[output][index] = value.numpy().copy()
    gaps = [row.gap for rows in differing.values() for row in rows if row.gap is not None]
    found = RegionParity(
        samples=sum(regions is not None for regions in taken), differing=differing, furthest=max(gaps) if gaps else None, limit=limit
    )
    return found, reference


def with_regions(parity: Parity, found: RegionParity) -> Parity:
    """Add the comparison of regions; one that is no tie is a failure, whatever the outputs are."""
    reason = found.reason()
    parity = attrs.evolve(parity, regions=found.to_json())
    if reason is None:
        return parity
    return attrs.evolve(parity, verdict="fail", reason=reason if parity.reason is None else f"{reason}; {parity.reason}")
