"""Activations."""

import torch
from torch.nn import functional as F

from edgekit.mil.operators.context import OperatorError, Tensor, integer


def relu(*, x: Tensor) -> Tensor:
    """``max(x, 0)``."""
    return F.relu(x)


def silu(*, x: Tensor) -> Tensor:
    """``x * sigmoid(x)``."""
    return F.silu(x)


def gelu(*, x: Tensor, mode: str = "EXACT") -> Tensor:
    """``x * Phi(x)``, by ``erf``, by ``tanh``, or by ``sigmoid(1.702 x)``."""
    if mode == "EXACT":
        return F.gelu(x)
    if mode == "TANH_APPROXIMATION":
        return F.gelu(x, approximate="tanh")
    if mode == "SIGMOID_APPROXIMATION":
        return x * torch.sigmoid(1.702 * x)
    raise OperatorError(f"mode {mode!r}")


def softmax(*, x: Tensor, axis: Tensor | int = -1) -> Tensor:
    """``exp(x) / sum(exp(x))`` over an axis."""
    return torch.softmax(x, integer(axis))


OPERATORS = {"relu": relu, "silu": silu, "gelu": gelu, "softmax": softmax}
