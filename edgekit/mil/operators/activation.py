"""Activations."""

import torch
from torch.nn import functional as F

from edgekit.mil.operators.context import OperatorError, Tensor, along_channels, integer, number


def clamped_relu(*, x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """``min(beta, x)`` where ``x >= 0``, else ``min(beta, alpha * x)``."""
    return torch.where(x >= 0, x, number(alpha) * x).clamp(max=number(beta))


def elu(*, x: Tensor, alpha: Tensor) -> Tensor:
    """``x`` where ``x > 0``, else ``alpha * (exp(x) - 1)``."""
    return F.elu(x, number(alpha))


def gelu(*, x: Tensor, mode: str = "EXACT") -> Tensor:
    """``x * Phi(x)``, by ``erf``, by ``tanh``, or by ``sigmoid(1.702 x)``."""
    if mode == "EXACT":
        return F.gelu(x)
    if mode == "TANH_APPROXIMATION":
        return F.gelu(x, approximate="tanh")
    if mode == "SIGMOID_APPROXIMATION":
        return x * torch.sigmoid(1.702 * x)
    raise OperatorError(f"mode {mode!r}")


def leaky_relu(*, x: Tensor, alpha: Tensor) -> Tensor:
    """``x`` where ``x >= 0``, else ``alpha * x``."""
    return F.leaky_relu(x, number(alpha))


def linear_activation(*, x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """``alpha * x + beta``."""
    return number(alpha) * x + number(beta)


def prelu(*, x: Tensor, alpha: Tensor) -> Tensor:
    """``x`` where ``x > 0``, else ``alpha * x``, with one ``alpha`` per channel (axis 1)."""
    return torch.where(x > 0, x, along_channels(alpha, x) * x)


def relu(*, x: Tensor) -> Tensor:
    """``max(x, 0)``."""
    return F.relu(x)


def relu6(*, x: Tensor) -> Tensor:
    """``min(max(x, 0), 6)``."""
    return x.clamp(0, 6)


def scaled_tanh(*, x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """``alpha * tanh(beta * x)``."""
    return number(alpha) * torch.tanh(number(beta) * x)


def sigmoid(*, x: Tensor) -> Tensor:
    """``1 / (1 + exp(-x))``."""
    return torch.sigmoid(x)


def sigmoid_hard(*, x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """``min(max(alpha * x + beta, 0), 1)``."""
    return (number(alpha) * x + number(beta)).clamp(0, 1)


def silu(*, x: Tensor) -> Tensor:
    """``x * sigmoid(x)``."""
    return F.silu(x)


def softplus(*, x: Tensor) -> Tensor:
    """``log(1 + exp(x))``."""
    return torch.logaddexp(x, torch.zeros_like(x))


def softplus_parametric(*, x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """``alpha * log(1 + exp(beta * x))``, with one ``alpha`` and one ``beta`` per channel (axis 1)."""
    return along_channels(alpha, x) * softplus(x=along_channels(beta, x) * x)


def softmax(*, x: Tensor, axis: Tensor | int = -1) -> Tensor:
    """``exp(x) / sum(exp(x))`` over an axis."""
    return torch.softmax(x, integer(axis))


def softsign(*, x: Tensor) -> Tensor:
    """``x / (1 + |x|)``."""
    return F.softsign(x)


def thresholded_relu(*, x: Tensor, alpha: Tensor) -> Tensor:
    """``x`` where ``x >= alpha``, else 0."""
    return torch.where(x >= number(alpha), x, torch.zeros_like(x))


OPERATORS = {
    "clamped_relu": clamped_relu,
    "elu": elu,
    "gelu": gelu,
    "leaky_relu": leaky_relu,
    "linear_activation": linear_activation,
    "prelu": prelu,
    "relu": relu,
    "relu6": relu6,
    "scaled_tanh": scaled_tanh,
    "sigmoid": sigmoid,
    "sigmoid_hard": sigmoid_hard,
    "silu": silu,
    "softmax": softmax,
    "softplus": softplus,
    "softplus_parametric": softplus_parametric,
    "softsign": softsign,
    "thresholded_relu": thresholded_relu,
}
