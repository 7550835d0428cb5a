"""Operators that compute each element of their result from one element of ``x``."""

from collections.abc import Callable

import torch

from edgekit.mil.operators.context import Context, OperatorError, Tensor, number, require_float

_RANGES = {
    "int8": (-(2**7), 2**7 - 1),
    "uint8": (0, 2**8 - 1),
    "int16": (-(2**15), 2**15 - 1),
    "uint16": (0, 2**16 - 1),
    "int32": (-(2**31), 2**31 - 1),
}


def abs(*, x: Tensor) -> Tensor:
    """``|x|``."""
    return torch.abs(x)


def clip(*, x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """``min(max(x, alpha), beta)``."""
    require_float(x)
    return x.clamp(number(alpha), number(beta))


def exp2(*, x: Tensor) -> Tensor:
    """``2 ** x``; of integers truncated to an integer."""
    return torch.exp2(x) if x.is_floating_point() else torch.exp2(x.double()).to(x.dtype)


def inverse(context: Context, *, x: Tensor, epsilon: Tensor | float = 1e-4) -> Tensor:
    """``1 / (x + epsilon)``."""
    require_float(x)
    return torch.reciprocal(x + _epsilon(context, epsilon))


def log(context: Context, *, x: Tensor, epsilon: Tensor | float = 1e-45) -> Tensor:
    """``ln(x + epsilon)``."""
    require_float(x)
    return torch.log(x + _epsilon(context, epsilon))


def rsqrt(context: Context, *, x: Tensor, epsilon: Tensor | float = 1e-12) -> Tensor:
    """``1 / sqrt(x + epsilon)``."""
    require_float(x)
    return torch.rsqrt(x + _epsilon(context, epsilon))


def _epsilon(context: Context, epsilon: Tensor | float) -> float:
    """Read an epsilon; a default has the type of the result, and two of the three are 0 in half precision."""
    if isinstance(epsilon, Tensor):
        return number(epsilon)
    return float(torch.tensor(epsilon).half()) if context.dtype == "fp16" else epsilon


def logical_not(*, x: Tensor) -> Tensor:
    """``not x``."""
    if x.dtype != torch.bool:
        raise OperatorError(f"an input of {x.dtype}, where booleans are defined only")
    return ~x


def sign(*, x: Tensor) -> Tensor:
    """-1, 0 or 1; no number stays no number."""
    return torch.where(x.isnan(), x, torch.sign(x))


def square(*, x: Tensor) -> Tensor:
    """``x * x``."""
    return x * x


def threshold(*, x: Tensor, alpha: Tensor) -> Tensor:
    """``max(x, alpha)``."""
    return torch.maximum(x, alpha.to(x.dtype))


def cast(*, x: Tensor, dtype: str) -> Tensor:
    """``x`` in another type: floats to integers towards zero, numbers to truth values by ``x != 0``.

    Rounding to fp16 is the interpreter's, by the declared type. What becomes of a value outside an integer's range is not
    defined, so it is refused.
    """
    if dtype in ("fp16", "fp32"):
        return x.float()
    if dtype == "bool":
        return x != 0
    if dtype not in _RANGES:
        raise OperatorError(f"dtype {dtype!r}")
    low, high = _RANGES[dtype]
    whole = x.double().trunc()
    if not bool(((whole >= low) & (whole <= high)).all()):  # so that no number (NaN) is refused as well
        raise OperatorError(f"a value outside {dtype} ({low} to {high})")
    return whole.to(torch.int64)


def _of_floats(function: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    """Return the operator that applies PyTorch's function of the same meaning to floats."""

    def compute(*, x: Tensor) -> Tensor:
        require_float(x)
        return function(x)

    return compute


OPERATORS = {
    "abs": abs,
    "acos": _of_floats(torch.acos),
    "asin": _of_floats(torch.asin),
    "atan": _of_floats(torch.atan),
    "atanh": _of_floats(torch.atanh),
    "cast": cast,
    "ceil": _of_floats(torch.ceil),
    "clip": clip,
    "cos": _of_floats(torch.cos),
    "cosh": _of_floats(torch.cosh),
    "erf": _of_floats(torch.erf),
    "exp": _of_floats(torch.exp),
    "exp2": exp2,
    "floor": _of_floats(torch.floor),
    "inverse": inverse,
    "log": log,
    "logical_not": logical_not,
    "round": _of_floats(torch.round),  # halves to the even neighbour: 0.5 becomes 0, 1.5 becomes 2
    "rsqrt": rsqrt,
    "sign": sign,
    "sin": _of_floats(torch.sin),
    "sinh": _of_floats(torch.sinh),
    "sqrt": _of_floats(torch.sqrt),
    "square": square,
    "tan": _of_floats(torch.tan),
    "tanh": _of_floats(torch.tanh),
    "threshold": threshold,
}
