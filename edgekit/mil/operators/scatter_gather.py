"""Reading and writing at positions that are data.

iOS 15 and 16 count negative indices from the end. Since iOS 17 the result of a negative index, or of any outside the axis, is
not defined; here it is an error, whether the program asks for ``validate_indices`` or not.
"""

from typing import Any

import numpy as np
import torch

from edgekit.mil.operators.context import Context, OperatorError, Tensor, integer

_NEGATIVE_COUNTS_FROM_END = ("CoreML5", "CoreML6")

Index = Any
"""What NumPy takes in brackets: a tuple of position arrays and slices."""


def _checked(context: Context, indices: Tensor, size: int) -> Tensor:
    """Return indices as positions on an axis of ``size``.

    :raises IndexError: one lies outside it.
    """
    positions = indices.long()
    lowest = -size if context.opset in _NEGATIVE_COUNTS_FROM_END else 0
    if positions.numel() and (int(positions.min()) < lowest or int(positions.max()) >= size):
        raise IndexError(
            f"indices {int(positions.min())}..{int(positions.max())} lie outside {lowest}..{size - 1}, where {context.opset} defines none"
        )
    return positions.where(positions >= 0, positions + size)


def gather(
    context: Context,
    *,
    x: Tensor,
    indices: Tensor,
    axis: Tensor | int = 0,
    batch_dims: Tensor | int = 0,
    validate_indices: Tensor | bool = False,
) -> Tensor:
    """``out[b.., p.., i.., q..] = x[b.., p.., indices[b.., i..], q..]``, with ``p`` up to the axis and ``q`` after it."""
    del validate_indices
    place, shared = integer(axis) % x.ndim, integer(batch_dims)
    positions = _checked(context, indices, x.shape[place])
    batch, inner = x.shape[:shared], indices.shape[shared:]
    rows = x.reshape(-1, *x.shape[shared:])
    picked = torch.stack(
        [row.index_select(place - shared, chosen) for row, chosen in zip(rows, positions.reshape(len(rows), inner.numel()), strict=True)]
    )
    return picked.reshape(*batch, *x.shape[shared:place], *inner, *x.shape[place + 1 :])


def gather_along_axis(context: Context, *, x: Tensor, indices: Tensor, axis: Tensor | int = 0, validate_indices: Tensor | bool = False) -> Tensor:
    """``out[p.., i, q..] = x[p.., indices[p.., i, q..], q..]``."""
    del validate_indices
    return x.gather(integer(axis), _checked(context, indices, x.shape[integer(axis)]))


def gather_nd(context: Context, *, x: Tensor, indices: Tensor, batch_dims: Tensor | int = 0, validate_indices: Tensor | bool = False) -> Tensor:
    """``out[b.., i..] = x[b..][indices[b.., i..]]``: the last axis of ``indices`` holds the position, for as many axes as it is long."""
    del validate_indices
    shared = integer(batch_dims)
    depth = indices.shape[-1]
    parts = [_checked(context, indices[..., k], x.shape[shared + k]) for k in range(depth)]
    open_axes = indices.ndim - 1 - shared
    batch = [torch.arange(x.shape[b]).reshape([-1 if axis == b else 1 for axis in range(shared + open_axes)]) for b in range(shared)]
    return x[(*batch, *parts)] if batch or parts else x.expand(*indices.shape[:-1], *x.shape)


def scatter(
    context: Context,
    *,
    data: Tensor,
    indices: Tensor,
    updates: Tensor,
    axis: Tensor | int = 0,
    mode: str = "add",
    validate_indices: Tensor | bool = False,
) -> Tensor:
    """``out[p.., indices[i], q..]`` is joined with ``updates[p.., i, q..]`` by ``mode``."""
    del validate_indices
    place = integer(axis) % data.ndim
    positions = _checked(context, indices, data.shape[place])
    return _joined(data, (*(slice(None),) * place, positions.numpy()), updates, mode)


def scatter_along_axis(
    context: Context,
    *,
    data: Tensor,
    indices: Tensor,
    updates: Tensor,
    axis: Tensor | int = 0,
    mode: str = "add",
    validate_indices: Tensor | bool = False,
) -> Tensor:
    """``out[p.., indices[p.., i, q..], q..]`` is joined with ``updates[p.., i, q..]`` by ``mode``."""
    del validate_indices
    place = integer(axis) % data.ndim
    where: list[np.ndarray] = list(np.indices(tuple(indices.shape), sparse=True))
    where[place] = _checked(context, indices, data.shape[place]).numpy()
    return _joined(data, tuple(where), updates, mode)


def scatter_nd(
    context: Context, *, data: Tensor, indices: Tensor, updates: Tensor, mode: str = "add", validate_indices: Tensor | bool = False
) -> Tensor:
    """``out[indices[i..]]`` is joined with ``updates[i..]`` by ``mode``."""
    del validate_indices
    where = tuple(_checked(context, indices[..., k], data.shape[k]).numpy() for k in range(indices.shape[-1]))
    return _joined(data, where, updates, mode)


def _joined(data: Tensor, where: Index, updates: Tensor, mode: str) -> Tensor:
    """Return a copy of ``data`` with the updates, one after another, so that a repeated position takes them all (``update``: the last)."""
    result, values = data.numpy().copy(), updates.numpy()
    if mode == "update":
        result[where] = values
    elif mode == "div" and not data.is_floating_point():
        raise OperatorError("mode 'div' of integers, whose rounding the reference does not define")
    else:
        _join(mode).at(result, where, values)
    return torch.from_numpy(result)


def _join(mode: str) -> np.ufunc:
    joins = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "max": np.maximum, "min": np.minimum}
    if mode not in joins:
        raise OperatorError(f"mode {mode!r}")
    return joins[mode]


OPERATORS = {
    "gather": gather,
    "gather_along_axis": gather_along_axis,
    "gather_nd": gather_nd,
    "scatter": scatter,
    "scatter_along_axis": scatter_along_axis,
    "scatter_nd": scatter_nd,
}
