"""How a package stores its weights: formats, how many values each holds, and their bytes. Reads no values.

    const fp16 in the weights file                                        float16
    constexpr_lut_to_dense(indices, lut of 16)                            table of 16      4 bits a value, and the table
    constexpr_affine_dequantize, constexpr_blockwise_shift_scale          8-bit integers   8 bits a value, and scales

iOS 16 keeps an operator's parts in its attributes, iOS 18 in its inputs or in constants. What functions share counts once.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from attrs import frozen

from edgekit.targets.base import WeightFormat
from edgekit.targets.coreml.package import Package, operations_in, stored_size

_CONSTEXPR = "constexpr_"
_MAIN = ("indices", "quantized_data", "data", "nonzero_data", "source_val", "indices_nonzero_data")
"""What of a ``constexpr`` operator there is one of for each weight."""
_BITS = {"INT8": 8, "UINT8": 8, "INT4": 4, "UINT4": 4, "UINT2": 2, "UINT1": 1, "UINT3": 3, "UINT6": 6}
_FLOATS = {"FLOAT16": "float16", "FLOAT32": "float32", "BFLOAT16": "bfloat16"}


@frozen
class _Tensor:
    """A stored value: its type's name in ``MIL.proto``, its shape, and where in a weights file it lies, if it does."""

    dtype: str
    shape: tuple[int, ...]
    place: tuple[str, int] | None


def weight_formats(package: Package) -> tuple[WeightFormat, ...]:
    """Return the formats of all weights that lie in the weights file, those with the most values first."""
    found: dict[str, list[tuple[int, int]]] = {}
    seen: set[tuple[str, int]] = set()
    for function in package.functions.values():
        for block in function.block_specializations.values():
            for name, values, parts in _weights(block):
                places = {part.place for part in parts if part.place is not None} - seen
                seen |= places
                if places:
                    found.setdefault(name, []).append((values, sum(stored_size(package, *place) for place in places)))
    rows = [
        WeightFormat(name=name, tensors=len(rows), values=sum(values for values, _ in rows), size_bytes=sum(size for _, size in rows))
        for name, rows in found.items()
    ]
    return tuple(sorted(rows, key=lambda row: (-row.values, row.name)))


def _weights(block: Any) -> Iterator[tuple[str, int, list[_Tensor]]]:
    """Yield format, number of values and stored parts of each weight of a block."""
    operations = list(operations_in(block))
    constants = {operation.outputs[0].name: _tensor(operation.attributes["val"]) for operation in operations if operation.type == "const"}
    taken: set[str] = set()
    for operation in operations:
        if operation.type.startswith(_CONSTEXPR):
            parts = {key: _tensor(value) for key, value in operation.attributes.items() if key != "name"}
            for key, argument in operation.inputs.items():
                for binding in argument.arguments:
                    if binding.WhichOneof("binding") == "value":
                        parts[key] = _tensor(binding.value)
                    elif binding.name in constants:
                        parts[key] = constants[binding.name]
                        taken.add(binding.name)
            yield _format(operation.type, parts), _count(operation.outputs[0].type.tensorType), list(parts.values())
    for name, tensor in constants.items():
        if name not in taken:
            yield _FLOATS.get(tensor.dtype, tensor.dtype.lower()), math.prod(tensor.shape), [tensor]


def _format(kind: str, parts: Mapping[str, _Tensor]) -> str:
    main = next((parts[key] for key in _MAIN if key in parts), None)
    if "lut" in parts:
        shape = parts["lut"].shape
        return f"table of {shape[0] if len(shape) == 1 else shape[-2]}"
    if main is not None and main.dtype in _BITS:
        return f"{_BITS[main.dtype]}-bit integers"
    return kind.removeprefix(_CONSTEXPR) if main is None else _FLOATS.get(main.dtype, main.dtype.lower())


def _tensor(value: Any) -> _Tensor:
    kind = value.type.tensorType
    names = kind.DESCRIPTOR.fields_by_name["dataType"].enum_type.values_by_number
    place = (value.blobFileValue.fileName, value.blobFileValue.offset) if value.WhichOneof("value") == "blobFileValue" else None
    dtype = names[kind.dataType].name if kind.dataType in names else str(kind.dataType)
    return _Tensor(dtype, tuple(int(size.constant.size) for size in kind.dimensions), place)


def _count(kind: Any) -> int:
    return math.prod(int(size.constant.size) for size in kind.dimensions)
