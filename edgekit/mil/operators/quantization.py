"""Integers for reals, computed while the program runs."""

import torch

from edgekit.mil.operators.compressed import along
from edgekit.mil.operators.context import OperatorError, Tensor

_TYPES = {"int8": torch.int8, "uint8": torch.uint8}


def quantize(*, input: Tensor, scale: Tensor, output_dtype: str, zero_point: Tensor | None = None, axis: Tensor | None = None) -> Tensor:
    """``clip(round(input / scale) + zero_point)``, halves to even."""
    if output_dtype not in _TYPES:
        raise OperatorError(f"output_dtype {output_dtype!r}")
    kind = _TYPES[output_dtype]
    steps = torch.round(input / along(scale, input, axis))
    if zero_point is not None:
        steps = steps + along(zero_point, input, axis).float()
    return steps.clamp(torch.iinfo(kind).min, torch.iinfo(kind).max).to(kind)


def dequantize(*, input: Tensor, scale: Tensor, zero_point: Tensor | None = None, axis: Tensor | None = None) -> Tensor:
    """``scale * (input - zero_point)``."""
    shifted = input.float() if zero_point is None else input.float() - along(zero_point, input, axis).float()
    return along(scale, input, axis) * shifted


OPERATORS = {"quantize": quantize, "dequantize": dequantize}
