"""How many of n distinct scores lie beyond a threshold that is one of them, or lies between two of them.

ascending    s_0 < s_1 < ... < s_(n-1)         threshold at s_r, or between s_r and s_(r+1)

scores        > at s_r     >= at s_r     between, either
kept          n - 1 - r    n - r         n - 1 - r             < and <= keep the others
"""

import math
from typing import Literal

import torch
from attrs import frozen

# torch.quantile computes the position in the scores' own precision: half a unit in the last place at positions below 2**14.
_POSITION_ROUNDING = 1e-3

Comparison = Literal["gt", "ge", "lt", "le"]


@frozen
class Threshold:
    """The score of ascending rank ``rank`` of ``count``, or, not ``exact``, a value between it and the next.

    ``exact`` None: which of the two it is depends on rounding.
    """

    count: int
    rank: int
    exact: bool | None

    def kept(self, comparison: Comparison) -> int | None:
        """Return for how many scores ``score > threshold`` holds (or ``>=``, ``<``, ``<=``); ``None`` where that depends on rounding."""
        above = self.count - 1 - self.rank
        if comparison in ("gt", "le"):  # at the score or beyond it, those above are the same
            return above if comparison == "gt" else self.count - above
        if self.exact is None:
            return None
        reached = above + self.exact
        return reached if comparison == "ge" else self.count - reached


def quantile_threshold(count: int, q: float, interpolation: str) -> Threshold | None:
    """Return where ``torch.quantile(scores, q)`` lies; ``None`` where rounding decides which scores it is at or between."""
    position = (count - 1) * q
    in_float32 = float(torch.tensor(q, dtype=torch.float32) * (count - 1))
    if interpolation == "nearest":
        halves = round(2 * position)
        if halves % 2 and abs(2 * position - halves) <= _POSITION_ROUNDING and not position == in_float32 == halves / 2:
            return None
        return Threshold(count, round(position), exact=True)  # halves to the even one, as torch
    whole = round(position)
    if position == in_float32 == whole:
        return Threshold(count, whole, exact=True)
    if abs(position - whole) <= _POSITION_ROUNDING:
        # A hair above the score, where the line between two scores may round to the lower; a hair below it rounds to either side.
        above = interpolation == "linear" and min(position, in_float32) >= whole
        return Threshold(count, whole, exact=None) if above else None
    low = math.floor(position)
    if interpolation in ("linear", "midpoint"):
        return Threshold(count, low, exact=False)
    return Threshold(count, low + (interpolation == "higher"), exact=True)
