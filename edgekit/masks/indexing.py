"""Indexing by a boolean mask, spelled with the places where it is true; what is read and written is what PyTorch reads and writes.

    x[:, mask]             x.index_select(1, places(mask))                       mask (n,)
    x[mask]                x.flatten(0, 1).index_select(0, places(mask.flatten()))   mask (B, n)
    x[mask] = rows         x.copy_(x.index_copy(0, places(mask), rows))
    x[mask] = one          x.copy_(where(mask, one, x))                          the same for every place: no count is needed
    x[places] = rows       x.copy_(x.index_copy(0, places, rows))                of places found before, by nonzero

``places`` is handed in: it counts where a model is observed, and is an operator of fixed size where it is captured.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from attrs import frozen
from torch import Tensor

Places = Callable[[Tensor], Tensor]
"""Maps a mask ``(n,)`` to the places where it is true, ``(k,)`` int64, ascending."""


def is_mask(item: Any) -> bool:
    """Whether an item of an index is a boolean tensor with an axis."""
    return isinstance(item, Tensor) and item.dtype == torch.bool and item.ndim > 0


def has_mask(index: Any) -> bool:
    """Whether an index, as ``__getitem__`` takes it, holds a mask."""
    return any(is_mask(item) for item in _items(index))


def take(x: Tensor, index: Any, places: Places) -> Tensor:
    """Return ``x[index]``."""
    found = _only(x, index, is_mask)
    if found is None:
        return x[_with_places(index, places)]
    rows = _flattened(found.base, found.axis, found.by.ndim)
    return rows.index_select(found.axis, places(found.by.reshape(-1)))


def put(x: Tensor, index: Any, value: Any, places: Places) -> None:
    """Do ``x[index] = value``."""
    found = _only(x, index, is_mask)
    if found is None:
        x[_with_places(index, places)] = value
        return
    base, axis, mask = found.base, found.axis, found.by
    value = torch.as_tensor(value, dtype=base.dtype, device=base.device)
    behind = base.ndim - axis - mask.ndim
    if value.ndim <= behind or value.shape[value.ndim - behind - 1] == 1:
        if value.ndim > behind:
            value = value.reshape(*value.shape[: value.ndim - behind], *[1] * (mask.ndim - 1), *value.shape[value.ndim - behind :])
        base.copy_(torch.where(mask.reshape(*mask.shape, *[1] * behind), value, base))
        return
    where = places(mask.reshape(-1))
    rows = _flattened(base, axis, mask.ndim)
    value = value.expand(*rows.shape[:axis], where.shape[0], *rows.shape[axis + 1 :])
    base.copy_(rows.index_copy(axis, where, value).reshape(base.shape))


def has_places(index: Any) -> bool:
    """Whether the one tensor of an index is a row of whole numbers, such as places found before."""
    tensors = [item for item in _items(index) if isinstance(item, Tensor)]
    return len(tensors) == 1 and tensors[0].dtype == torch.int64 and tensors[0].ndim == 1


def put_at(x: Tensor, index: Any, value: Any) -> None:
    """Do ``x[index] = value`` for an index that has places, without an operator that writes at them."""
    found = _only(x, index, lambda item: isinstance(item, Tensor))
    if found is None:
        x[index] = value
        return
    base, axis = found.base, found.axis
    value = torch.as_tensor(value, dtype=base.dtype, device=base.device)
    rows = value.expand(*base.shape[:axis], found.by.shape[0], *base.shape[axis + 1 :])
    base.copy_(base.index_copy(axis, found.by, rows))


def masked_select(x: Tensor, mask: Tensor, places: Places) -> Tensor:
    """Return ``torch.masked_select(x, mask)``; a mask that is the same along the last axes selects whole rows."""
    x, mask = _broadcast(x, mask)
    return take(x, mask, places).reshape(-1)


def masked_scatter(x: Tensor, mask: Tensor, source: Tensor, places: Places) -> Tensor:
    """Return ``x.masked_scatter(mask, source)``."""
    x, mask = _broadcast(x, mask)
    where = places(mask.reshape(-1))
    rows = _flattened(x, 0, mask.ndim)
    wanted = (where.shape[0], *rows.shape[1:])
    return rows.index_copy(0, where, source.reshape(-1)[: math.prod(wanted)].reshape(wanted)).reshape(x.shape)


def coordinates(x: Tensor, places: Places) -> tuple[Tensor, ...]:
    """Return ``x.nonzero(as_tuple=True)``."""
    mask = x if x.dtype == torch.bool else x != 0
    flat = places(mask.reshape(-1))
    if x.ndim == 1:
        return (flat,)
    found = []
    for axis in range(x.ndim - 1):
        stride = math.prod(x.shape[axis + 1 :])
        found.append(torch.div(flat, stride, rounding_mode="floor"))
        flat = flat - found[-1] * stride  # not a remainder: Core AI's converter has none
    return (*found, flat)


@frozen
class _Found:
    """The one tensor of an index, the rest of the index applied: it is for the axes of ``base`` from ``axis`` on."""

    base: Tensor
    axis: int
    by: Tensor


def _items(index: Any) -> list[Any]:
    return list(index) if isinstance(index, (tuple, list)) else [index]


def _only(x: Tensor, index: Any, wanted: Callable[[Any], bool]) -> _Found | None:
    """Apply all of an index but its one wanted tensor; ``None`` where there is another tensor or list in it, whose axes go with that one's."""
    items = _items(index)
    others = [item for item in items if not wanted(item)]
    if len(others) != len(items) - 1 or any(not (item is None or item is Ellipsis or type(item) in (int, slice)) for item in others):
        return None
    place = next(number for number, item in enumerate(items) if wanted(item))
    by = items[place]
    axes = by.ndim if is_mask(by) else 1
    taken = sum(axes if item is by else item is not None and item is not Ellipsis for item in items)
    full = [slice(None)] * (x.ndim - taken)
    before = _expanded(items[:place], full)
    after = _expanded(items[place + 1 :], full)
    axis = sum(type(item) is not int for item in before)
    rest = before + [slice(None)] * axes + after
    # An index that takes all gives another name to x, which coremltools 9.0 loses track of.
    return _Found(x if all(item == slice(None) for item in rest) else x[tuple(rest)], axis, by)


def _expanded(items: list[Any], full: list[slice]) -> list[Any]:
    return [one for item in items for one in (full if item is Ellipsis else [item])]


def _with_places(index: Any, places: Places) -> tuple[Any, ...]:
    """Put the coordinates of each mask in its place, as PyTorch does."""
    return tuple(one for item in _items(index) for one in (coordinates(item, places) if is_mask(item) else (item,)))


def _flattened(x: Tensor, axis: int, count: int) -> Tensor:
    return x if count == 1 else x.flatten(axis, axis + count - 1)


def _broadcast(x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Broadcast both, and leave out of the mask the last axes along which it is the same."""
    shape = torch.broadcast_shapes(x.shape, mask.shape)
    aligned = mask.reshape(*[1] * (len(shape) - mask.ndim), *mask.shape)
    axes = len(shape)
    while axes > 1 and aligned.shape[axes - 1] == 1:
        axes -= 1
    return x.expand(shape), aligned.reshape(aligned.shape[:axes]).expand(shape[:axes])
