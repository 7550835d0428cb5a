"""Temperature scaling: one number for an exit, by which its logits are divided so that its confidences are probabilities.

    T = argmin  mean over samples of  log sum_c exp(z_c / T) - z_label / T

Source: On Calibration of Modern Neural Networks (arXiv 1706.04599). In b = 1/T the mean is convex: its slope is the mean
of E_p[z] - z_label, p = softmax(b z), its curvature the mean variance of z under p. So Newton's method finds the one minimum; a
step that leaves the bracket around it is replaced by a bisection.
"""

import math

import numpy as np
from numpy.typing import NDArray

from edgekit.errors import BadInputError
from edgekit.policy.confidences import Floats

LEAST, MOST = 0.01, 100.0
_STEPS = 60
_CHUNK = 1 << 17


def fit_temperature(logits: Floats, labels: NDArray[np.int64]) -> float:
    """Return the temperature of logits ``(N, C)``, 0.01 to 100, to six decimals.

    Samples with a logit that is not finite are left out. Where every label already has the largest logit there is no
    minimum: ever smaller temperatures fit ever better, and one is returned at which float64 sees no loss any more, or the least.

    :raises BadInputError: no sample has finite logits only.
    """
    low, high = 1 / MOST, 1 / LEAST
    inverse = 1.0
    for _ in range(_STEPS):
        slope, curvature = _derivatives(logits, labels, inverse)
        if slope < 0:
            low = inverse
        else:
            high = inverse
        step = inverse - slope / curvature if curvature > 0 else math.nan
        following = step if low < step < high else math.sqrt(low * high)
        if abs(following - inverse) <= 1e-8 * inverse:
            inverse = following
            break
        inverse = following
    return round(min(max(1 / inverse, LEAST), MOST), 6)


def _derivatives(logits: Floats, labels: NDArray[np.int64], inverse: float) -> tuple[float, float]:
    """Return slope and curvature of the mean loss at ``inverse`` = 1/T."""
    rows = max(1, _CHUNK // logits.shape[1])
    slope = curvature = 0.0
    counted = 0
    for start in range(0, len(logits), rows):
        part = logits[start : start + rows].astype(np.float64)
        wanted = labels[start : start + rows]
        finite = np.isfinite(part).all(axis=1)
        if not finite.all():
            part, wanted = part[finite], wanted[finite]
        part -= part.max(axis=1, keepdims=True, initial=-math.inf)
        weights = np.exp(part * inverse)
        total = weights.sum(axis=1)
        mean = np.einsum("nc,nc->n", weights, part) / total
        square = np.einsum("nc,nc,nc->n", weights, part, part) / total
        slope += float((mean - part[np.arange(len(part)), wanted]).sum())
        curvature += float((square - mean * mean).sum())
        counted += len(part)
    if not counted:
        raise BadInputError("no sample of an exit has finite logits only", why="there is nothing to calibrate with")
    return slope / counted, curvature / counted
