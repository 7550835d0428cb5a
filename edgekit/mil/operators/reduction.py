"""Reductions. Those with ``axes`` go over all axes where none are given."""

import math
from collections.abc import Callable

import torch

from edgekit.mil.operators.context import OperatorError, Tensor, flag, integer, integers


def reduce_argmax(*, x: Tensor, axis: Tensor | int = -1, keep_dims: Tensor | bool = False, output_dtype: str = "int32") -> Tensor:
    """Place of the largest element along an axis; of equal ones the first, which the reference leaves open."""
    _require_index(output_dtype)
    return torch.argmax(x, integer(axis), flag(keep_dims))


def reduce_argmin(*, x: Tensor, axis: Tensor | int = -1, keep_dims: Tensor | bool = False, output_dtype: str = "int32") -> Tensor:
    """Place of the smallest element along an axis; of equal ones the first, which the reference leaves open."""
    _require_index(output_dtype)
    return torch.argmin(x, integer(axis), flag(keep_dims))


def _require_index(output_dtype: str) -> None:
    if output_dtype.lower() not in ("int32", "uint16"):
        raise OperatorError(f"output_dtype {output_dtype!r}")


def _over_axes(function: Callable[[Tensor], Tensor], *, in_floats: bool = False) -> Callable[..., Tensor]:
    """Return the operator that applies a function of the last axis to all elements along ``axes``.

    :param in_floats: it gives no integers; of integers the result is truncated to one.
    """

    def compute(*, x: Tensor, axes: Tensor | None = None, keep_dims: Tensor | bool = False) -> Tensor:
        over = sorted(axis % x.ndim for axis in integers(axes)) if axes is not None else list(range(x.ndim))
        kept = [axis for axis in range(x.ndim) if axis not in over]
        sizes = [x.shape[axis] for axis in kept]
        rows = x.permute(*kept, *over).reshape(*sizes, math.prod(x.shape[axis] for axis in over))
        result = function(rows.double()).to(x.dtype) if in_floats and not x.is_floating_point() else function(rows)
        return result.reshape([1 if axis in over else x.shape[axis] for axis in range(x.ndim)]) if flag(keep_dims) else result

    return compute


OPERATORS = {
    "reduce_argmax": reduce_argmax,
    "reduce_argmin": reduce_argmin,
    "reduce_l1_norm": _over_axes(lambda rows: rows.abs().sum(-1)),
    "reduce_l2_norm": _over_axes(lambda rows: rows.square().sum(-1).sqrt(), in_floats=True),
    "reduce_log_sum": _over_axes(lambda rows: rows.sum(-1).log(), in_floats=True),
    "reduce_log_sum_exp": _over_axes(lambda rows: rows.logsumexp(-1), in_floats=True),
    "reduce_max": _over_axes(lambda rows: rows.amax(-1)),
    "reduce_mean": _over_axes(lambda rows: rows.mean(-1), in_floats=True),
    "reduce_min": _over_axes(lambda rows: rows.amin(-1)),
    "reduce_prod": _over_axes(lambda rows: rows.prod(-1)),
    "reduce_sum": _over_axes(lambda rows: rows.sum(-1)),
    "reduce_sum_square": _over_axes(lambda rows: rows.square().sum(-1)),
}
