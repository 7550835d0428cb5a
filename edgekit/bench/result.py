"""What a run of ``benchmark`` gives."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

from edgekit.bench.against import Beside
from edgekit.bench.profiling import Profile
from edgekit.bench.roofline import Roofline
from edgekit.bench.statistics import Ratio
from edgekit.bench.timing_row import MethodTiming


@frozen(kw_only=True)
class Graph:
    """An artifact's operators by name; ``form`` is ``edgekit`` or ``naive``."""

    artifact: Path
    target: str
    model: str
    form: str
    size_bytes: int
    operators: Mapping[str, int]


@frozen(kw_only=True)
class Comparison:
    """How long ``artifact`` takes in units of ``base``, for a method both have or for all of their methods together."""

    artifact: Path
    base: Path
    method: str
    ratio: Ratio


@frozen(kw_only=True)
class BenchResult:
    """What was measured, on what, and what may be concluded.

    :param noise: how much longer the slowest tenth of the rounds took a fixed piece of work than the median.
    :param comparisons: each artifact with the first, or with the vendor's plain export; empty where ``refusal`` says why nothing may be compared.
    :param beside: the vendors' plain exports, where they were asked for; ``graphs``: what those and ours are made of.
    :param profiles: where the time of each method goes, where it was asked for.
    """

    context: dict[str, Any]
    results: tuple[MethodTiming, ...]
    noise: float
    comparisons: tuple[Comparison, ...] = ()
    refusal: str | None = None
    beside: tuple[Beside, ...] = ()
    graphs: tuple[Graph, ...] = ()
    profiles: tuple[Profile, ...] = ()
    roofline: Roofline | None = None
