"""Operators that compute each element from one element of each input, broadcast as in NumPy."""

from collections.abc import Callable

import torch

from edgekit.mil.operators.context import OperatorError, Tensor

_NUMBERS = (torch.float32, torch.float64, torch.int32)


def pow(*, x: Tensor, y: Tensor) -> Tensor:
    """``x ** y``; of integers to powers that are not negative."""
    _require_numbers(x, y)
    if not y.is_floating_point() and bool((y < 0).any()):
        raise OperatorError("a negative power of an integer")
    return torch.pow(x, y)


def real_div(*, x: Tensor, y: Tensor) -> Tensor:
    """``x / y``; of integers the quotient truncated to an integer."""
    _require_numbers(x, y)
    return torch.div(x, y, rounding_mode=None if x.is_floating_point() else "trunc")


def select(*, cond: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """``a`` where ``cond`` is true, else ``b``."""
    if cond.dtype != torch.bool or a.dtype != b.dtype:
        raise OperatorError(f"a condition of {cond.dtype} with values of {a.dtype} and {b.dtype}")
    return torch.where(cond, a, b)


def _require_numbers(x: Tensor, y: Tensor) -> None:
    if x.dtype != y.dtype or x.dtype not in _NUMBERS:
        raise OperatorError(f"inputs of {x.dtype} and {y.dtype}, where two floats or two int32 are defined only")


def _of_numbers(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    """Return the operator that applies PyTorch's function of the same meaning to two floats or two integers."""

    def compute(*, x: Tensor, y: Tensor) -> Tensor:
        _require_numbers(x, y)
        return function(x, y)

    return compute


def _of_truth_values(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    """Return the operator that applies PyTorch's function of the same meaning to two truth values."""

    def compute(*, x: Tensor, y: Tensor) -> Tensor:
        if (x.dtype, y.dtype) != (torch.bool, torch.bool):
            raise OperatorError(f"inputs of {x.dtype} and {y.dtype}, where booleans are defined only")
        return function(x, y)

    return compute


OPERATORS = {
    "add": _of_numbers(torch.add),
    "equal": _of_numbers(torch.eq),
    "floor_div": _of_numbers(torch.floor_divide),
    "greater": _of_numbers(torch.gt),
    "greater_equal": _of_numbers(torch.ge),
    "less": _of_numbers(torch.lt),
    "less_equal": _of_numbers(torch.le),
    "logical_and": _of_truth_values(torch.logical_and),
    "logical_or": _of_truth_values(torch.logical_or),
    "logical_xor": _of_truth_values(torch.logical_xor),
    "maximum": _of_numbers(torch.maximum),
    "minimum": _of_numbers(torch.minimum),
    "mod": _of_numbers(torch.remainder),  # the result has the divisor's sign
    "mul": _of_numbers(torch.mul),
    "not_equal": _of_numbers(torch.ne),
    "pow": pow,
    "real_div": real_div,
    "select": select,
    "sub": _of_numbers(torch.sub),
}
