"""Keep the regions whose score lies above a percentile of the scores: the step that makes IMC-Net depend on data.

    scores (B, N)   threshold = quantile(scores, beta), one a row      keep = scores > threshold   (B, N) boolean

How many are kept, for one row of ``N`` scores, no two of them equal: the linearly interpolated quantile lies at position
``(N - 1) * beta`` of the sorted scores, at or above the one of rank ``floor((N - 1) * beta)`` and below the next, so the
strict ``>`` keeps ``N - 1 - floor((N - 1) * beta)``.

| case | kept |
| --- | --- |
| beta 0 | all N: selection is off. (The strict ``>`` would drop the smallest.) |
| beta 1 | none |
| one region, beta above 0 | none: it is its own quantile |
| no region | none |
| ties | the tied scores stay or go together: fewer than the formula where they stand at the threshold, as many elsewhere |
| the two scores at the threshold a few units in the last place apart | as with a tie, or not: interpolation between them may round to the upper |
| a NaN in the row, beta above 0 | none: the quantile of the row is NaN, and nothing is greater |

Source: IMC-Net, arXiv 2507.21761, selection of regions.
"""

import math

import torch
from torch import Tensor, nn

from edgekit.errors import UsageError

# torch.quantile computes the position in the scores' own precision: half a unit in the last place at positions below 2**14.
_POSITION_ROUNDING = 1e-3


class PercentileSelection(nn.Module):
    """Mark the scores strictly above the ``beta``-quantile of their row; the table above says what that means at the edges.

    A ``beta`` of 0.25 drops the lowest quarter. The threshold has no gradient; a selector learns through the gate that its scores open.

    :raises UsageError: ``beta`` is not a number from 0 to 1.
    """

    def __init__(self, beta: float) -> None:
        super().__init__()
        check_beta(beta)
        self.beta = float(beta)

    def forward(self, scores: Tensor) -> Tensor:
        """Map scores ``(B, N)``, float32 or float64, to the mask of kept ones, ``(B, N)`` boolean."""
        if self.beta == 0 or scores.shape[-1] == 0:
            return torch.ones_like(scores, dtype=torch.bool)
        return scores > torch.quantile(scores.detach(), self.beta, dim=-1, keepdim=True)

    def extra_repr(self) -> str:
        """Show ``beta`` where the module is printed."""
        return f"beta={self.beta:g}"


def check_beta(beta: float) -> None:
    """Refuse what is no share.

    :raises UsageError: not a number from 0 to 1.
    """
    if not 0 <= beta <= 1:  # NaN fails both
        raise UsageError(f"beta is {beta}; a percentile is given as a share from 0 to 1", hint="0.25 drops the lowest quarter of the regions")


def kept_count(regions: int, beta: float) -> int:
    """Return how many of ``regions`` distinct scores :class:`PercentileSelection` keeps, without running it.

    :raises UsageError: ``beta`` is not from 0 to 1, or ``(regions - 1) * beta`` is a whole number but for rounding, so that the
        count would depend on the scores (0.29 of 101 regions lies at 28.999999999999996).
    """
    check_beta(beta)
    if beta == 0 or regions == 0:
        return regions
    rank = _rank_below(regions, beta)
    if rank is None:
        raise UsageError(
            f"how many of {regions} regions lie above the percentile {beta} depends on rounding",
            why=f"the percentile falls on a score, number {round((regions - 1) * beta)}, or just beside it",
            hint="move beta by a thousandth",
        )
    return regions - 1 - rank


def _rank_below(regions: int, beta: float) -> int | None:
    """Return ``floor((regions - 1) * beta)``; None where float32 or float64 lands just below a whole number instead of on it."""
    position = (regions - 1) * beta
    whole = round(position)
    if abs(position - whole) > _POSITION_ROUNDING:
        return math.floor(position)
    in_float32 = float(torch.tensor(beta, dtype=torch.float32) * (regions - 1))
    return whole if min(position, in_float32) >= whole else None
