"""What is said of samples: percentiles, whether they have settled, and how sure a ratio is."""

from collections.abc import Sequence

import numpy as np
from attrs import frozen

_RESAMPLES = 2000
_WINDOW = 5
_SETTLED = 0.02


@frozen(kw_only=True)
class Ratio:
    """How long one variant takes in units of another, of the medians, with the interval that holds 95% of the resampled rounds."""

    value: float
    low: float
    high: float

    @property
    def differs(self) -> bool:
        """Whether the interval leaves out 1."""
        return not self.low <= 1 <= self.high


def percentile(samples: Sequence[float], share: float) -> float:
    """Return the value below which a share (0 to 100) of the samples lies."""
    return float(np.percentile(samples, share))


def has_settled(samples: Sequence[float]) -> bool:
    """Whether the last five samples are no longer faster than the five before, by more than 2% of the median: warm-up is over."""
    if len(samples) < 2 * _WINDOW:
        return False
    before, last = float(np.median(samples[-2 * _WINDOW : -_WINDOW])), float(np.median(samples[-_WINDOW:]))
    return last >= before * (1 - _SETTLED)


def ratio_of(ours: Sequence[float], theirs: Sequence[float]) -> Ratio:
    """Return the ratio of two variants that were sampled in the same rounds, with a bootstrap interval over rounds.

    Rounds are resampled whole, so that what disturbed both at once disturbs the ratio little. The same samples give the same
    interval: the draw is seeded.
    """
    a, b = np.asarray(ours), np.asarray(theirs)
    rounds = np.random.default_rng(0).integers(0, len(a), (_RESAMPLES, len(a)))
    spread = np.median(a[rounds], axis=1) / np.median(b[rounds], axis=1)
    low, high = np.percentile(spread, (2.5, 97.5))
    return Ratio(value=float(np.median(a) / np.median(b)), low=float(low), high=float(high))
