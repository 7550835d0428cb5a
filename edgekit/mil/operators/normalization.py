"""Normalizations."""

import torch
from torch.nn import functional as F

from edgekit.mil.operators.context import OperatorError, Tensor, along_channels, integer, integers, number


def batch_norm(
    *, x: Tensor, mean: Tensor, variance: Tensor, gamma: Tensor | None = None, beta: Tensor | None = None, epsilon: Tensor | float = 1e-5
) -> Tensor:
    """``gamma * (x - mean) / sqrt(variance + epsilon) + beta``, per channel (axis 1)."""
    scaled = (x - along_channels(mean, x)) / torch.sqrt(along_channels(variance, x) + number(epsilon))
    return _scale_and_shift(scaled, *(None if values is None else along_channels(values, x) for values in (gamma, beta)))


def instance_norm(*, x: Tensor, gamma: Tensor | None = None, beta: Tensor | None = None, epsilon: Tensor | float = 1e-5) -> Tensor:
    """``gamma * (x - E[x]) / sqrt(Var[x] + epsilon) + beta``, over the spatial axes of each channel."""
    if not 3 <= x.ndim <= 4:
        raise OperatorError(f"an input of rank {x.ndim}, where 3 and 4 are defined")
    scaled = _standardized(x, list(range(2, x.ndim)), number(epsilon))
    return _scale_and_shift(scaled, *(None if values is None else along_channels(values, x) for values in (gamma, beta)))


def l2_norm(*, x: Tensor, epsilon: Tensor | float = 1e-6) -> Tensor:
    """``x / sqrt(sum(x * x) + epsilon)``, over the last three axes."""
    if x.ndim < 3:
        raise OperatorError(f"an input of rank {x.ndim}, where 3 and more are defined")
    return x / torch.sqrt((x * x).sum(dim=(-3, -2, -1), keepdim=True) + number(epsilon))


def layer_norm(
    *, x: Tensor, axes: Tensor | None = None, gamma: Tensor | None = None, beta: Tensor | None = None, epsilon: Tensor | float = 1e-5
) -> Tensor:
    """``gamma * (x - E[x]) / sqrt(Var[x] + epsilon) + beta``, over ``axes``; ``gamma`` and ``beta`` have these axes in the order of ``x``."""
    over = sorted(axis % x.ndim for axis in (range(x.ndim) if axes is None else integers(axes)))
    shape = [size if axis in over else 1 for axis, size in enumerate(x.shape)]
    return _scale_and_shift(_standardized(x, over, number(epsilon)), *(None if values is None else values.reshape(shape) for values in (gamma, beta)))


def local_response_norm(*, x: Tensor, size: Tensor, alpha: Tensor | float = 1e-4, beta: Tensor | float = 0.75, k: Tensor | float = 1.0) -> Tensor:
    """``x / (k + alpha / size * sum(x_j * x_j)) ** beta``, over the ``size`` channels around each.

    An even ``size`` has no middle, and of three axes the reference takes the second for the channels where the layer it is
    lowered to takes the first: both are refused.
    """
    neighbours = integer(size)
    if x.ndim != 4 or neighbours % 2 == 0:
        raise OperatorError(f"size {neighbours} on an input of rank {x.ndim}, where odd sizes and rank 4 are clear")
    reach = neighbours // 2
    squares = F.pad(x * x, (0, 0, 0, 0, reach, reach))
    around = squares.unfold(1, neighbours, 1).sum(dim=-1)
    return x / (number(k) + number(alpha) / neighbours * around) ** number(beta)


def _standardized(x: Tensor, axes: list[int], epsilon: float) -> Tensor:
    variance, mean = torch.var_mean(x, dim=axes, correction=0, keepdim=True)
    return (x - mean) / torch.sqrt(variance + epsilon)


def _scale_and_shift(x: Tensor, gamma: Tensor | None, beta: Tensor | None) -> Tensor:
    scaled = x if gamma is None else x * gamma
    return scaled if beta is None else scaled + beta


OPERATORS = {
    "batch_norm": batch_norm,
    "instance_norm": instance_norm,
    "l2_norm": l2_norm,
    "layer_norm": layer_norm,
    "local_response_norm": local_response_norm,
}
