"""Weights stored small: quantized, as palettes, sparse, or two of these. Their results never change: the interpreter keeps them.

iOS 16 has packed bits and a shape, iOS 18 tensors of small integers; the operators share their names.
"""

import math

import numpy as np
import torch

from edgekit.mil.operators.context import OperatorError, Tensor, integer, integers


def constexpr_affine_dequantize(*, quantized_data: Tensor, zero_point: Tensor, scale: Tensor, axis: Tensor) -> Tensor:
    """``scale * (quantized_data - zero_point)``, these one number, or one for each place on the axis."""
    return along(scale, quantized_data, axis) * (quantized_data.float() - along(zero_point, quantized_data, axis).float())


def along(values: Tensor, data: Tensor, axis: Tensor | None) -> Tensor:
    """Return a vector laid along an axis of ``data``; one number stays as it is.

    :raises ValueError: there is no axis, or it has another size.
    """
    if values.ndim == 0:
        return values
    if axis is None or data.shape[integer(axis)] != values.numel():
        raise ValueError(f"{values.numel()} scales or zero points for data {list(data.shape)}, axis {axis}")
    sizes = [1] * data.ndim
    sizes[integer(axis)] = -1
    return values.reshape(sizes)


def constexpr_cast(*, source_val: Tensor, output_dtype: str) -> Tensor:
    """The same numbers in another type."""
    if output_dtype != "fp32":
        raise OperatorError(f"output_dtype {output_dtype!r}")
    return source_val


def constexpr_lut_to_dense(*, indices: Tensor, lut: Tensor, shape: Tensor | None = None, vector_axis: Tensor | None = None) -> Tensor:
    """Each index's entry of the palette.

    iOS 16: one palette; the indices' bits are packed, the lowest first.
    iOS 18: ``lut`` is ``(groups of each axis.., entries, length)``: a palette for each block of indices; entries longer than one
    number lie along ``vector_axis``.
    """
    if shape is not None:
        sizes = integers(shape)
        return lut[_unpacked(indices, math.prod(sizes), (lut.numel() - 1).bit_length())].reshape(sizes)
    return _looked_up(indices, lut, vector_axis)


def _looked_up(indices: Tensor, lut: Tensor, vector_axis: Tensor | None) -> Tensor:
    groups, (entries, length) = lut.shape[:-2], lut.shape[-2:]
    if indices.numel() and int(indices.max()) >= entries:  # it would find a neighbour's entry
        raise ValueError(f"index {int(indices.max())} into a palette of {entries}")
    palette = torch.zeros((), dtype=torch.int32)
    for axis, (size, count) in enumerate(zip(indices.shape, groups, strict=True)):
        if size % count:
            raise ValueError(f"{count} palettes for {size} indices on axis {axis}")
        sizes = [1] * indices.ndim
        sizes[axis] = -1
        palette = palette * count + (torch.arange(size, dtype=torch.int32) // (size // count)).reshape(sizes)
    found = lut.reshape(-1, length)[palette * entries + indices.int()]
    if length == 1:
        return found.squeeze(-1)
    if vector_axis is None:
        raise OperatorError(f"palette entries of {length} numbers without a vector_axis")
    place = integer(vector_axis) % indices.ndim
    return found.movedim(-1, place + 1).flatten(place, place + 1)


def _unpacked(packed: Tensor, count: int, bits: int) -> Tensor:
    """Return unsigned integers of so many bits; the first lies in the lowest bits of the first byte. It takes eight bytes for one, no more."""
    if bits == 8:
        return packed[:count].int()
    flat = np.unpackbits(packed.numpy(), bitorder="little")[: count * bits]
    return torch.from_numpy(np.packbits(flat.reshape(count, bits), axis=1, bitorder="little")).squeeze(1).int()


def constexpr_sparse_to_dense(*, nonzero_data: Tensor, mask: Tensor, shape: Tensor | None = None) -> Tensor:
    """The values, in order, where the mask is set, zero elsewhere; iOS 16 packs the mask's bits, the lowest first."""
    if shape is not None:
        sizes = integers(shape)
        mask = _unpacked(mask, math.prod(sizes), 1).reshape(sizes)
    return _dense(nonzero_data, mask != 0)


def _dense(values: Tensor, mask: Tensor) -> Tensor:
    if int(mask.sum()) != values.numel():
        raise ValueError(f"{values.numel()} values for a mask with {int(mask.sum())} places")
    dense = torch.zeros(mask.shape, dtype=values.dtype)
    dense[mask] = values
    return dense


def constexpr_blockwise_shift_scale(*, data: Tensor, scale: Tensor, offset: Tensor | None = None) -> Tensor:
    """``scale * (data - offset)``, one of each for a block of the data; the blocks' sizes follow from the shapes."""
    shifted = data.float() if offset is None else data.float() - _spread(offset, data).float()
    return _spread(scale, data) * shifted


def _spread(values: Tensor, data: Tensor) -> Tensor:
    """Repeat each value over its block of the data.

    :raises ValueError: the blocks do not fill the data.
    """
    for axis, (count, size) in enumerate(zip(values.shape, data.shape, strict=True)):
        if size % count:
            raise ValueError(f"{count} blocks in {size} elements on axis {axis}")
        if 1 < count < size:
            values = values.repeat_interleave(size // count, dim=axis)
    return values


def constexpr_lut_to_sparse(
    *, indices_mask: Tensor, indices_nonzero_data: Tensor, lut: Tensor, vector_axis: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """``constexpr_lut_to_dense`` where the mask is set: the mask, longer if the palette's entries are, and the values there."""
    kept = indices_mask != 0
    dense = _looked_up(_dense(indices_nonzero_data, kept), lut, vector_axis)
    mask = indices_mask if lut.shape[-1] == 1 or vector_axis is None else indices_mask.repeat_interleave(lut.shape[-1], dim=integer(vector_axis))
    return mask, dense[mask != 0]


def constexpr_sparse_blockwise_shift_scale(
    *, data_mask: Tensor, nonzero_data: Tensor, scale: Tensor, offset: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """``constexpr_blockwise_shift_scale`` where the mask is set: the mask, and the values there."""
    kept = data_mask != 0
    return data_mask, constexpr_blockwise_shift_scale(data=_dense(nonzero_data, kept), scale=scale, offset=offset)[kept]


OPERATORS = {
    "constexpr_affine_dequantize": constexpr_affine_dequantize,
    "constexpr_cast": constexpr_cast,
    "constexpr_lut_to_dense": constexpr_lut_to_dense,
    "constexpr_sparse_to_dense": constexpr_sparse_to_dense,
    "constexpr_blockwise_shift_scale": constexpr_blockwise_shift_scale,
    "constexpr_lut_to_sparse": constexpr_lut_to_sparse,
    "constexpr_sparse_blockwise_shift_scale": constexpr_sparse_blockwise_shift_scale,
}
