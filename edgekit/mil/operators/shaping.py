"""Shapes and the order of elements; no value changes."""

import math

import torch
from torch.nn import functional as F

from edgekit.mil.operators.context import Context, Tensor, integer, integers, tensors

_ZERO_NEEDS_EQUAL_RANK = ("CoreML5", "CoreML6")


def identity(*, x: object) -> object:
    """The value itself, whatever its kind."""
    return x


def shape(*, x: Tensor) -> Tensor:
    """The sizes of ``x``."""
    return torch.tensor(x.shape, dtype=torch.int32)


def reshape(context: Context, *, x: Tensor, shape: Tensor) -> Tensor:
    """The same elements in another shape: ``-1`` is what remains, ``0`` the size of ``x`` there.

    A ``0`` stands at its own position (iOS 15, 16: equal ranks only), or counts from the right; out of range it is 1 (iOS 17).
    """
    sizes = integers(shape)
    if 0 in sizes and context.opset in _ZERO_NEEDS_EQUAL_RANK and len(sizes) != x.ndim:
        raise ValueError(f"shape {sizes} has a 0, but not the rank of {list(x.shape)}")
    from_right = len(sizes) - x.ndim
    sizes = [size or (x.shape[i - from_right] if i >= from_right else 1) for i, size in enumerate(sizes)]
    return x.reshape(sizes)


def reshape_like(
    *,
    x: Tensor,
    ref_tensors: Tensor | tuple[Tensor, ...],
    begins: Tensor | tuple[Tensor, ...],
    ends: Tensor | tuple[Tensor, ...],
    end_masks: Tensor | tuple[Tensor, ...],
) -> Tensor:
    """The same elements, in the shapes of other tensors, cut by ``[begin:end]`` (``[begin:]`` with its mask) and joined."""
    cuts = zip(tensors(ref_tensors), tensors(begins), tensors(ends), tensors(end_masks), strict=True)
    sizes = [size for other, begin, end, mask in cuts for size in other.shape[integer(begin) : None if mask else integer(end)]]
    return x.reshape(sizes)


def expand_dims(*, x: Tensor, axes: Tensor) -> Tensor:
    """New axes of size 1, at their positions in the result."""
    rank = x.ndim + axes.numel()
    for axis in sorted(axis % rank for axis in integers(axes)):
        x = x.unsqueeze(axis)
    return x


def squeeze(*, x: Tensor, axes: Tensor | None = None) -> Tensor:
    """Without axes of size 1: all, or those named; a named axis of another size stays."""
    return x.squeeze() if axes is None else x.squeeze(tuple(integers(axes)))


def transpose(*, x: Tensor, perm: Tensor) -> Tensor:
    """Axis ``i`` of the result is axis ``perm[i]`` of ``x``."""
    return x.permute(integers(perm))


def flatten2d(*, x: Tensor, axis: Tensor | int = 1) -> Tensor:
    """The axes before ``axis`` as one, the others as one."""
    first = integer(axis)
    return x.reshape(math.prod(x.shape[:first]), math.prod(x.shape[first:]))


def depth_to_space(*, x: Tensor, block_size: Tensor) -> Tensor:
    """``out[n, c, h b + i, w b + j] = x[n, (i b + j) C + c, h, w]``: the block comes first in the channels, as in TensorFlow.

    Source of the order: Core ML Tools lower TensorFlow's DepthToSpace to this operator, between two transposes only.
    """
    b, (n, c, h, w) = integer(block_size), x.shape
    return x.reshape(n, b, b, c // b**2, h, w).permute(0, 3, 4, 1, 5, 2).reshape(n, c // b**2, h * b, w * b)


def space_to_depth(*, x: Tensor, block_size: Tensor) -> Tensor:
    """The inverse of ``depth_to_space``."""
    b, (n, c, h, w) = integer(block_size), x.shape
    return x.reshape(n, c, h // b, b, w // b, b).permute(0, 3, 5, 1, 2, 4).reshape(n, c * b**2, h // b, w // b)


def pixel_shuffle(*, x: Tensor, upscale_factor: Tensor) -> Tensor:
    """``out[n, c, h f + i, w f + j] = x[n, c f^2 + i f + j, h, w]``."""
    return F.pixel_shuffle(x, integer(upscale_factor))


def pixel_unshuffle(*, x: Tensor, downscale_factor: Tensor) -> Tensor:
    """The inverse of ``pixel_shuffle``."""
    return F.pixel_unshuffle(x, integer(downscale_factor))


def space_to_batch(*, x: Tensor, block_shape: Tensor, paddings: Tensor) -> Tensor:
    """``out[(i b1 + j) N + n, c, h, w] = padded[n, c, h b0 + i, w b1 + j]``, padded with zeros."""
    (b0, b1), (top, bottom, left, right) = integers(block_shape), integers(paddings)
    padded = F.pad(x, (left, right, top, bottom))
    n, c, h, w = padded.shape
    blocks = padded.reshape(n, c, h // b0, b0, w // b1, b1).permute(3, 5, 0, 1, 2, 4)
    return blocks.reshape(n * b0 * b1, c, h // b0, w // b1)


def batch_to_space(*, x: Tensor, block_shape: Tensor, crops: Tensor) -> Tensor:
    """The inverse of ``space_to_batch``: what was padded is cropped."""
    (b0, b1), (top, bottom, left, right) = integers(block_shape), integers(crops)
    n, c, h, w = x.shape
    whole = x.reshape(b0, b1, n // (b0 * b1), c, h, w).permute(2, 3, 4, 0, 5, 1).reshape(n // (b0 * b1), c, h * b0, w * b1)
    return whole[:, :, top : h * b0 - bottom, left : w * b1 - right]


def reverse(*, x: Tensor, axes: Tensor | None = None) -> Tensor:
    """The other way round along the axes, or along all."""
    return x.flip(tuple(range(x.ndim)) if axes is None else integers(axes))


def reverse_sequence(*, x: Tensor, lengths: Tensor, seq_axis: Tensor | int = 0, batch_axis: Tensor | int = 0) -> Tensor:
    """Entry ``i`` along ``batch_axis`` has its first ``lengths[i]`` elements along ``seq_axis`` reversed."""
    moved = x.movedim((integer(batch_axis), integer(seq_axis)), (0, 1)).clone()
    for row, length in zip(moved, integers(lengths), strict=True):
        row[:length] = row[:length].flip(0)
    return moved.movedim((0, 1), (integer(batch_axis), integer(seq_axis)))


def sliding_windows(*, x: Tensor, axis: Tensor, size: Tensor, stride: Tensor | int = 1) -> Tensor:
    """``out[.., i, j, ..] = x[.., i stride + j, ..]``: all windows along an axis, their elements on a new axis after it."""
    place = integer(axis) % x.ndim
    return x.unfold(place, integer(size), integer(stride)).movedim(-1, place + 1)


OPERATORS = {
    "identity": identity,
    "shape": shape,
    "reshape": reshape,
    "reshape_like": reshape_like,
    "expand_dims": expand_dims,
    "squeeze": squeeze,
    "transpose": transpose,
    "flatten2d": flatten2d,
    "depth_to_space": depth_to_space,
    "space_to_depth": space_to_depth,
    "pixel_shuffle": pixel_shuffle,
    "pixel_unshuffle": pixel_unshuffle,
    "space_to_batch": space_to_batch,
    "batch_to_space": batch_to_space,
    "reverse": reverse,
    "reverse_sequence": reverse_sequence,
    "sliding_windows": sliding_windows,
}
