"""Chooses the range of a value that becomes an 8-bit integer, from what is seen of it on samples.

    add(values)  for each sample        counts in bins of equal width over [-2**k, 2**k], k as small as the values allow
    range()      once                   (low, high), zero inside, with the least squared error of 256 levels between them

The range of all values seen is wider than the best: one value far out makes every step coarse. When a sample leaves the bins, k grows and
pairs of bins become one, so the counts stay exact and do not depend on the order of the samples.
"""

import numpy as np

_BINS = 8192
_LEVELS = 256
_AT_MOST = 1 << 14
"""Values of one sample that are counted; of more, every n-th. Its extremes always are."""
_SHRINKS = 80
"""Candidates on a side: the widest range, and each time an eightieth less."""
_ROUNDS = 3


class Histogram:
    """What was seen of one value."""

    def __init__(self) -> None:
        self.low = 0.0
        self.high = 0.0
        self._counts = np.zeros(_BINS)
        self._top = 0.0

    def add(self, values: np.ndarray) -> None:
        """Count a sample's values, of any shape; those that are no number or infinite are left out."""
        flat = np.ascontiguousarray(values, dtype=np.float32).reshape(-1)
        low, high = float(flat.min(initial=0)), float(flat.max(initial=0))
        if not np.isfinite(low + high):
            flat = flat[np.isfinite(flat)]
            low, high = float(flat.min(initial=0)), float(flat.max(initial=0))
        self.low, self.high = min(self.low, low), max(self.high, high)
        self._widen(max(-low, high))
        if not self._top:
            return
        # An odd step: tensors' sides are even, and an even one would see some channels only.
        picked = np.concatenate([flat[:: (len(flat) // _AT_MOST) | 1], np.array([low, high], dtype=np.float32)])
        places = ((picked / self._top + 1) * (_BINS / 2)).astype(np.int64)
        self._counts += np.bincount(np.clip(places, 0, _BINS - 1), minlength=_BINS)

    def range(self) -> tuple[float, float]:
        """Return ``(low, high)`` with ``low <= 0 <= high``; both 0 where nothing but zeros was seen."""
        if not self._top:
            return 0.0, 0.0
        seen = self._counts > 0
        centres = ((np.arange(_BINS) + 0.5) * (2 / _BINS) - 1)[seen] * self._top
        counts = self._counts[seen]
        low, high = self.low, self.high
        for _ in range(_ROUNDS):
            candidates = high * np.linspace(1, 0, _SHRINKS, endpoint=False)
            high = float(min(candidates, key=lambda end: _error(centres, counts, low, end)))
            candidates = low * np.linspace(1, 0, _SHRINKS, endpoint=False)
            low = float(min(candidates, key=lambda end: _error(centres, counts, end, high)))
        return low, high

    def _widen(self, extreme: float) -> None:
        if extreme == 0:
            return
        needed = float(2.0 ** np.ceil(np.log2(extreme)))
        if not self._top:
            self._top = needed
        while self._top < needed:
            halves = self._counts.reshape(2, -1, 2).sum(2)  # left and right of zero, pairs of bins added up
            self._counts = np.concatenate([np.zeros(_BINS // 4), *halves, np.zeros(_BINS // 4)])
            self._top *= 2


def _error(centres: np.ndarray, counts: np.ndarray, low: float, high: float) -> float:
    """Return the squared error of values rounded to 256 levels, zero one of them."""
    scale = (high - low) / (_LEVELS - 1)
    if scale <= 0:
        return float((counts * centres**2).sum())
    zero = np.round(-low / scale)
    levels = np.clip(np.round(centres / scale) + zero, 0, _LEVELS - 1) - zero
    return float((counts * (levels * scale - centres) ** 2).sum())
