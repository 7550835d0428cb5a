"""Parts of tensors: cut out, put in, joined, repeated, padded."""

import torch
from torch.nn import functional as F

from edgekit.mil.operators.context import OperatorError, Tensor, flag, flags, integer, integers, number, tensors


def _ranges(
    shape: tuple[int, ...],
    begin: Tensor,
    end: Tensor,
    stride: Tensor | None,
    begin_mask: Tensor | None,
    end_mask: Tensor | None,
    squeeze_mask: Tensor | None,
) -> tuple[list[range], tuple[int, ...]]:
    """Return the positions that ``begin:end:stride`` takes on each axis, as Python counts, and the axes to squeeze."""
    rank = len(shape)
    none = [False] * rank
    open_begin, open_end, squeezed = (flags(mask) if mask is not None else none for mask in (begin_mask, end_mask, squeeze_mask))
    steps = integers(stride) if stride is not None else [1] * rank
    taken = []
    for axis, (size, first, last, step) in enumerate(zip(shape, integers(begin), integers(end), steps, strict=True)):
        start = None if open_begin[axis] else first
        if squeezed[axis]:
            position = start or 0
            taken.append(range(size)[position : position + 1 or None])
        else:
            taken.append(range(size)[slice(start, None if open_end[axis] else last, step)])
    return taken, tuple(axis for axis in range(rank) if squeezed[axis])


def slice_by_index(
    *,
    x: Tensor,
    begin: Tensor,
    end: Tensor,
    stride: Tensor | None = None,
    begin_mask: Tensor | None = None,
    end_mask: Tensor | None = None,
    squeeze_mask: Tensor | None = None,
) -> Tensor:
    """``x[begin:end:stride]`` on each axis; a mask leaves its side open, ``squeeze_mask`` takes the one element at ``begin``."""
    taken, squeezed = _ranges(tuple(x.shape), begin, end, stride, begin_mask, end_mask, squeeze_mask)
    for axis, positions in enumerate(taken):
        if positions.step > 0:
            x = x[(slice(None),) * axis + (slice(positions.start, positions.stop, positions.step),)]
        else:
            x = x.index_select(axis, torch.tensor(list(positions), dtype=torch.int64))
    return x.squeeze(squeezed) if squeezed else x


def slice_update(
    *,
    x: Tensor,
    update: Tensor,
    begin: Tensor,
    end: Tensor,
    stride: Tensor | None = None,
    begin_mask: Tensor | None = None,
    end_mask: Tensor | None = None,
    squeeze_mask: Tensor | None = None,
) -> Tensor:
    """``x`` with ``x[begin:end:stride] = update``, the slice as in ``slice_by_index``."""
    taken, _ = _ranges(tuple(x.shape), begin, end, stride, begin_mask, end_mask, squeeze_mask)
    result = x.clone()
    places = torch.meshgrid(*(torch.tensor(list(positions), dtype=torch.int64) for positions in taken), indexing="ij")
    result[places] = update.reshape([len(positions) for positions in taken])
    return result


def slice_by_size(*, x: Tensor, begin: Tensor, size: Tensor) -> Tensor:
    """``size`` elements from ``begin`` on each axis; ``-1`` takes all that remain.

    :raises ValueError: fewer remain.
    """
    for axis, (first, length) in enumerate(zip(integers(begin), integers(size), strict=True)):
        start = first + x.shape[axis] if first < 0 else first
        x = x.narrow(axis, start, x.shape[axis] - start if length == -1 else length)
    return x


def split(*, x: Tensor, axis: Tensor, num_splits: Tensor | None = None, split_sizes: Tensor | None = None) -> Tensor | tuple[Tensor, ...]:
    """Parts along an axis: of the given sizes, or ``num_splits`` equal ones."""
    place = integer(axis)
    if split_sizes is not None:
        sizes = integers(split_sizes)
    elif num_splits is not None:
        each, rest = divmod(x.shape[place], integer(num_splits))
        if rest:
            raise ValueError(f"{x.shape[place]} elements do not split into {integer(num_splits)} equal parts")
        sizes = [each] * integer(num_splits)
    else:
        raise OperatorError("it says neither num_splits nor split_sizes")
    parts = x.split(sizes, dim=place)
    return parts if len(parts) > 1 else parts[0]


def concat(*, values: Tensor | tuple[Tensor, ...], axis: Tensor, interleave: Tensor | bool = False) -> Tensor:
    """Tensors one after another along an axis, or their elements in turn with ``interleave``; scalars make a vector."""
    parts, place = tensors(values), integer(axis)
    if parts[0].ndim == 0:
        return torch.stack(parts)
    if flag(interleave):
        place %= parts[0].ndim
        return torch.stack(parts, dim=place + 1).flatten(place, place + 1)
    return torch.cat(parts, dim=place)


def stack(*, values: Tensor | tuple[Tensor, ...], axis: Tensor) -> Tensor:
    """Tensors side by side on a new axis."""
    return torch.stack(tensors(values), dim=integer(axis))


def tile(*, x: Tensor, reps: Tensor) -> Tensor:
    """``x`` repeated ``reps[i]`` times along axis ``i``."""
    return x.repeat(integers(reps))


def pad(*, x: Tensor, pad: Tensor, mode: str = "constant", constant_val: Tensor | float = 0.0) -> Tensor:
    """The last axes longer by ``pad``'s (before, after) pairs: a constant, the mirrored inside, or the edge."""
    pairs = list(zip(integers(pad)[::2], integers(pad)[1::2], strict=True))
    first = x.ndim - len(pairs)
    if mode == "constant":
        flat = [amount for pair in reversed(pairs) for amount in pair]
        return F.pad(x, flat, value=number(constant_val))
    for axis, (before, after) in enumerate(pairs, start=first):
        x = x.index_select(axis, _padded_positions(x.shape[axis], before, after, mode))
    return x


def _padded_positions(size: int, before: int, after: int, mode: str) -> Tensor:
    """Return which element stands at each place of a padded axis.

    :raises ValueError: there is not enough to mirror.
    """
    positions = torch.arange(-before, size + after)
    if mode == "replicate":
        return positions.clamp(0, size - 1)
    if mode == "reflect":
        if max(before, after) >= size:
            raise ValueError(f"an axis of {size} elements cannot be padded by {before} and {after} mirrored ones")
        return size - 1 - (size - 1 - positions.abs()).abs()
    raise OperatorError(f"mode {mode!r}")


def band_part(*, x: Tensor, lower: Tensor | int = -1, upper: Tensor | int = -1) -> Tensor:
    """Zero outside ``lower`` diagonals below and ``upper`` above the main one of the last two axes; negative keeps all."""
    below = torch.arange(x.shape[-2])[:, None] - torch.arange(x.shape[-1])
    kept = torch.ones_like(below, dtype=torch.bool)
    if integer(lower) >= 0:
        kept &= below <= integer(lower)
    if integer(upper) >= 0:
        kept &= -below <= integer(upper)
    return torch.where(kept, x, torch.zeros((), dtype=x.dtype))


OPERATORS = {
    "slice_by_index": slice_by_index,
    "slice_update": slice_update,
    "slice_by_size": slice_by_size,
    "split": split,
    "concat": concat,
    "stack": stack,
    "tile": tile,
    "pad": pad,
    "band_part": band_part,
}
