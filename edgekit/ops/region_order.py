"""Comparing scores with each other, without sort, top-k or index.

    clipped     sign[i, j] = clip((s_j - s_i) * 2**110 + bias[i, j], -1, 1)
    compared    before[i, j] = s_j > s_i, or s_j = s_i and j < i

A difference of scores, blown up, is beyond 1 whatever it was, and clipping leaves its sign; where two scores are equal the
bias decides. Delegates take that, and leave comparisons to others; in half precision 2**110 is infinite, so there the
scores are compared. What is added up are whole numbers, exact in float32, and in half precision up to 2048. Nothing here is
stored as an (n, n) table. What decides between scores asks for full precision, see ``full_precision.py``.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

BLOW_UP = 2.0**110
"""Two float32 scores s < t differ by ``s * 2**-24`` at least: from 2**-70 on that is beyond 2**16 times any bias. Smaller scores tie."""


class RegionRanks(nn.Module):
    """How many scores come before each: those that are higher, and equal ones of a lower index. Every number from 0 to n - 1 occurs once.

    :param compare: by comparisons, not by clipped differences.
    """

    full_precision = True
    row: Tensor
    column: Tensor
    ones: Tensor

    def __init__(self, regions: int, *, compare: bool = False) -> None:
        super().__init__()
        self.compare = compare
        place = torch.arange(regions, dtype=torch.float32)
        self.register_buffer("row", place.reshape(1, -1), persistent=False)
        self.register_buffer("column", place.reshape(-1, 1), persistent=False)
        self.register_buffer("ones", torch.ones(1, regions), persistent=False)

    def forward(self, scores: Tensor) -> Tensor:
        """Map scores ``(1, n)`` to their ranks, ``(n, 1)``, in the same precision.

        Clipped, they are from 2**-70 to 1, and a NaN among them makes every rank NaN. Compared, a NaN has rank 0.
        """
        if self.compare:
            own = scores.reshape(-1, 1)
            tied = (scores == own).to(scores.dtype)
            # Not tied and row < column: that is a table of constants, which converters would store, 38 kB for 196 regions.
            earlier = tied * self.column.to(scores.dtype) > tied * self.row.to(scores.dtype)
            before = torch.logical_or(scores > own, earlier)  # converters know the name, not |
            return F.linear(before.to(scores.dtype), self.ones.to(scores.dtype))
        # Where two are equal, i - j is 1 or more where j comes first. Added one after the other: their difference would be a table.
        lead = (scores - scores.reshape(-1, 1)) * BLOW_UP + self.column.to(scores.dtype) - self.row.to(scores.dtype)
        return (F.linear(lead.clamp(-1.0, 1.0), self.ones.to(scores.dtype)) + float(scores.shape[1] - 1)) * 0.5


class HighestRegions(nn.Module):
    """Mark the scores that no more than ``count`` scores, their own among them, reach: exactly the percentile's mask, ties included."""

    full_precision = True
    ones: Tensor

    def __init__(self, regions: int, count: int) -> None:
        super().__init__()
        self.count = count
        self.register_buffer("ones", torch.ones(1, regions), persistent=False)

    def forward(self, scores: Tensor, among: Tensor | None = None) -> Tensor:
        """Map scores ``(1, n)``, from 2**-70 to 1 or 0, to ``(1, n)`` of zeros and ones, in the same precision. A NaN makes the mask NaN.

        :param among: a mask of zeros and ones; a region without is below all others.
        """
        scores = scores if among is None else scores * among
        lead = (scores - scores.reshape(-1, 1)) * BLOW_UP + 1.0  # equal scores reach each other
        reaching = (F.linear(lead.clamp(-1.0, 1.0), self.ones.to(scores.dtype)) + float(scores.shape[1])) * 0.5
        return at_least_one((self.count + 1.0) - reaching).reshape(1, -1)


def at_least_one(whole: Tensor) -> Tensor:
    """Map whole numbers to 1 from 1 on, else 0. Not by clipping to 0..1: LiteRT's delegate leaves that out."""
    return 1.0 - F.relu(1.0 - F.relu(whole))
