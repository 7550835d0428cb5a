"""How large a result will be, where an operator makes much out of little: known before it is computed.

A few bytes of a program can ask for a terabyte. What a program *declares* is bounded when its types are read; this is
for sizes it does not declare, or declares wrongly. Other operators give at most about what they were given.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from edgekit.mil.operators.context import flag, integers, number

Tensor = torch.Tensor
Arguments = Mapping[str, Any]


def elements(kind: str, arguments: Arguments) -> int:
    """Return how many elements an operator's result has, or 0 where it cannot be much more than its inputs have.

    An estimate: it may be too large by the crop of a transposed convolution. Parameters that do not fit each other
    give 0 too: computing them gives the better error.
    """
    try:
        return int(_ESTIMATES.get(kind, _paired)(arguments))
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError):
        return 0


def _paired(given: Arguments) -> int:
    """Two tensors that broadcast: ``(n, 1)`` and ``(1, n)`` make ``n`` squared."""
    x, y = given.get("x"), given.get("y")
    if not isinstance(x, Tensor) or not isinstance(y, Tensor):
        return 0
    return math.prod(np.broadcast_shapes(x.shape, y.shape))  # torch's own brings its symbolic shapes and sympy: half a second


def _matmul(given: Arguments) -> int:
    x, y = given["x"], given["y"]
    if x.ndim < 2 or y.ndim < 2:
        return 0
    rows = x.shape[-1 if flag(given.get("transpose_x", False)) else -2]
    columns = y.shape[-2 if flag(given.get("transpose_y", False)) else -1]
    return math.prod(np.broadcast_shapes(x.shape[:-2], y.shape[:-2])) * rows * columns


def _range(given: Arguments) -> int:
    return int((number(given["end"]) - number(given["start"])) / number(given["step"])) + 1


def _pad(given: Arguments) -> int:
    return _grown(given["x"].shape, integers(given["pad"]))


def _grown(shape: Sequence[int], pads: Sequence[int]) -> int:
    """Return the elements of a shape whose last axes get two more paddings each."""
    first = len(shape) - len(pads) // 2
    sizes = (size + (pads[2 * (axis - first)] + pads[2 * (axis - first) + 1] if axis >= first else 0) for axis, size in enumerate(shape))
    return math.prod(sizes)


def _padded_window(given: Arguments) -> int:
    """Convolution and pooling: the padded input, which is larger than the result in each channel."""
    channels = max(1, given["weight"].shape[0] // max(1, given["x"].shape[1])) if "weight" in given else 1
    return _grown(given["x"].shape, integers(given["pad"])) * channels if "pad" in given else 0


def _conv_transpose(given: Arguments) -> int:
    x, weight = given["x"], given["weight"]
    rank = x.ndim - 2
    strides, dilations = (integers(given[key]) if key in given else [1] * rank for key in ("strides", "dilations"))
    sizes = (
        size * stride + dilation * kernel for size, stride, dilation, kernel in zip(x.shape[2:], strides, dilations, weight.shape[2:], strict=True)
    )
    return x.shape[0] * max(1, weight.shape[1]) * math.prod(sizes)


def _resized(*keys: str) -> Callable[[Arguments], int]:
    """Target sizes stand in for the last two axes."""
    return lambda given: math.prod(given["x"].shape[:-2]) * math.prod(int(number(given.get(key, 1))) for key in keys)


def _upsample(given: Arguments) -> int:
    factors = (number(given.get(f"scale_factor_{axis}", 1)) for axis in ("height", "width"))
    return int(given["x"].numel() * math.prod(factors))


def _gather(given: Arguments) -> int:
    x, axis = given["x"], int(number(given.get("axis", 0)))
    return x.numel() // max(1, x.shape[axis]) * given["indices"].numel()


_ESTIMATES: Mapping[str, Callable[[Arguments], int]] = {
    "fill": lambda given: math.prod(integers(given["shape"])),
    "tile": lambda given: given["x"].numel() * math.prod(integers(given["reps"])),
    "one_hot": lambda given: given["indices"].numel() * int(number(given["one_hot_vector_size"])),
    "range_1d": _range,
    "matmul": _matmul,
    "pad": _pad,
    "conv": _padded_window,
    "avg_pool": _padded_window,
    "max_pool": _padded_window,
    "l2_pool": _padded_window,
    "conv_transpose": _conv_transpose,
    "resize_bilinear": _resized("target_size_height", "target_size_width"),
    "resize_nearest_neighbor": _resized("target_size_height", "target_size_width"),
    "affine": _resized("output_height", "output_width"),
    "crop_resize": _resized("target_height", "target_width"),
    "resize": lambda given: math.prod(integers(given["shape"])) * math.prod(given["x"].shape[: given["x"].ndim - given["shape"].numel()]),
    "upsample_bilinear": _upsample,
    "upsample_nearest_neighbor": _upsample,
    "gather": _gather,
}
