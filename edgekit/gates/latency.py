"""Times an artifact for a gate, with intervals: a busy machine must not fail a good artifact, nor a lucky run pass a bad one.

    load    three fresh processes: median, fastest to slowest
    first   the same three
    p50     rounds resampled, 95% of the medians
    ratio   to the base artifact, both in one run, A B B A; rounds resampled whole

A budget is exceeded where all of the interval lies beyond it. Nothing is decided on a machine that was too noisy, as ``edgekit bench`` says.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from attrs import field, frozen

from edgekit.bench.benchmark import benchmark
from edgekit.bench.once import measured_apart
from edgekit.bench.result import BenchResult
from edgekit.gates.measure import Metric
from edgekit.runtime.loaded import facts_of_file

_MORE_LOADS = 2  # beside the one that every benchmark begins with
_RESAMPLES = 2000


@frozen(kw_only=True)
class Timed:
    """What was timed. ``refusal`` says why nothing may be decided from it; ``tried``: whether anything ran at all."""

    metrics: Mapping[str, Metric] = field(factory=dict)
    refusal: str | None = None
    tried: bool = True
    has_base: bool = False

    def leaves_out(self, metric: str) -> bool:
        """Whether a metric is missing because there was nothing to compare with."""
        return metric.endswith(".ratio") and not self.has_base


def time_artifact(path: Path, *, base: Path | None, threads: int, samples: int) -> Timed:
    """Time an artifact, and beside it the one of the same name in the folder ``base``, where there is one.

    :raises ArtifactError: it does not run. :raises UsageError: fewer than ten samples.
    """
    facts = facts_of_file(path)
    if facts.limit("time_on_this_host") is False:
        return Timed(refusal="its time on this host says nothing: measure it on a phone", tried=False)
    other = None if base is None or not (base / path.name).exists() else base / path.name
    result = benchmark([path] if other is None else [other, path], threads=threads, samples=samples)
    if result.refusal is not None:
        return Timed(refusal=result.refusal, has_base=other is not None)
    ours = [row for row in result.results if row.artifact == path]
    apart = [measured_apart(path, threads) for _ in range(_MORE_LOADS)]
    once = {"latency.load": [ours[0].load_ms, *(one.load_ms for one in apart)]}
    once |= {f"latency.{row.method}.first": [row.first_ms, *(one.first_ms[row.method] for one in apart)] for row in ours}
    metrics = {name: Metric(value=float(np.median(times)), low=min(times), high=max(times)) for name, times in once.items()}
    return Timed(metrics=metrics | _steady(result, path), has_base=other is not None)


def _steady(result: BenchResult, path: Path) -> dict[str, Metric]:
    found = {f"latency.{row.method}.p50": median_of(row.samples_ms) for row in result.results if row.artifact == path}
    ratios = {row.method: row.ratio for row in result.comparisons}
    return found | {f"latency.{method}.ratio": Metric(value=ratio.value, low=ratio.low, high=ratio.high) for method, ratio in ratios.items()}


def median_of(samples: Sequence[float]) -> Metric:
    """Return the median with the interval that holds 95% of the medians of resampled rounds; the draw is seeded."""
    times = np.asarray(samples)
    drawn = np.random.default_rng(0).integers(0, len(times), (_RESAMPLES, len(times)))
    low, high = np.percentile(np.median(times[drawn], axis=1), (2.5, 97.5))
    return Metric(value=float(np.median(times)), low=float(low), high=float(high))
