"""Tells Core ML Tools how stored weights are written: its ``constexpr`` operators, unpacked before a program runs.

    looked_up(indices, tables)     constexpr_lut_to_dense
    scaled(integers, scales)       constexpr_affine_dequantize, from iOS 18 on constexpr_blockwise_shift_scale

iOS 18 has tables for groups of rows and scales for blocks, iOS 16 one table a weight and a scale a row.
"""

from typing import Any

import numpy as np
from coremltools import target
from coremltools.converters.mil import Builder, register_torch_op
from coremltools.converters.mil.mil import types
from coremltools.converters.mil.mil.block import is_current_opset_version_compatible_with as _at_least


@register_torch_op(torch_alias=["edgekit::looked_up"])  # type: ignore[untyped-decorator]
def edgekit_looked_up(context: Any, node: Any) -> None:
    """Write a palette."""
    indices, tables = (np.asarray(context[name].val) for name in node.inputs)
    groups, entries = tables.shape
    bits = entries.bit_length() - 1
    if _at_least(target.iOS18):
        small = indices.astype(types.nptype_from_builtin(types.string_to_builtin(f"uint{bits}")))
        shape = (groups, *[1] * (indices.ndim - 1), entries, 1)
        result = Builder.constexpr_lut_to_dense(indices=small, lut=tables.reshape(shape), name=node.name)
    else:
        packed = np.packbits(np.unpackbits(indices.reshape(-1, 1).astype(np.uint8), axis=1, bitorder="little")[:, :bits], bitorder="little")
        result = Builder.constexpr_lut_to_dense(indices=packed, lut=tables[0], shape=np.array(indices.shape, np.uint32), name=node.name)
    context.add(result)


@register_torch_op(torch_alias=["edgekit::scaled"])  # type: ignore[untyped-decorator]
def edgekit_scaled(context: Any, node: Any) -> None:
    """Write integers and scales."""
    *names, bits = node.inputs
    integers, scales = (np.asarray(context[name].val) for name in names)
    if _at_least(target.iOS18):
        data = integers.astype(types.nptype_from_builtin(types.string_to_builtin(f"int{bits}")))
        result = Builder.constexpr_blockwise_shift_scale(data=data, scale=scales, name=node.name)
    else:
        result = Builder.constexpr_affine_dequantize(
            quantized_data=integers, zero_point=np.int8(0), scale=scales.reshape(-1), axis=np.int32(0), name=node.name
        )
    context.add(result)
