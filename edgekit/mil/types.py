"""Types of values in a MIL program, read from the messages of ``MIL.proto``."""

import math
from typing import Any

import torch
from attrs import frozen

from edgekit.errors import ArtifactError

_NAMES = {
    1: "bool",
    2: "string",
    10: "fp16",
    11: "fp32",
    12: "fp64",
    13: "bf16",
    21: "int8",
    22: "int16",
    23: "int32",
    24: "int64",
    25: "int4",
    31: "uint8",
    32: "uint16",
    33: "uint32",
    34: "uint64",
    35: "uint4",
    36: "uint2",
    37: "uint1",
    38: "uint6",
    39: "uint3",
}
"""``MIL.proto``'s DataType by number. The two 8-bit floats (40, 41) are no type of any operator yet."""

MOST_ELEMENTS = 1 << 30
"""The largest value that is computed, 4 GiB in float32: a few bytes of a file may declare any number of them."""

FLOATS = frozenset({"fp16", "fp32", "fp64", "bf16"})

_HELD_AS = {
    "bool": torch.bool,
    "int8": torch.int8,
    "int16": torch.int16,
    "int32": torch.int32,
    "int4": torch.int8,
    "uint8": torch.uint8,
    # PyTorch computes little with the wider unsigned types; the next larger signed one holds their values.
    "uint16": torch.int32,
    "uint32": torch.int64,
    "uint64": torch.int64,
    "int64": torch.int64,
    "uint4": torch.uint8,
    "uint2": torch.uint8,
    "uint1": torch.uint8,
    "uint6": torch.uint8,
    "uint3": torch.uint8,
}


@frozen
class TensorType:
    """A tensor; rank 0 is a scalar. ``shape`` has ``None`` where the size is known at run time only."""

    dtype: str
    shape: tuple[int | None, ...] = ()

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join('?' if size is None else str(size) for size in self.shape)}]"


@frozen
class StateType:
    """A tensor that lives between calls (iOS 18)."""

    tensor: TensorType


@frozen
class OpaqueType:
    """A list, tuple or dictionary; ``kind`` is its name in ``MIL.proto``."""

    kind: str


ValueType = TensorType | StateType | OpaqueType


def torch_dtype(dtype: str) -> torch.dtype:
    """Return how values of a type are held: every float as float32 (fp64 as float64), small integers in the next type PyTorch has."""
    if dtype == "fp64":
        return torch.float64
    return torch.float32 if dtype in FLOATS else _HELD_AS[dtype]


def read_type(message: Any) -> ValueType:
    """Return the type in a ``ValueType`` message.

    :raises ArtifactError: none, one that is not known, or one larger than anything that is computed here.
    """
    kind = message.WhichOneof("type")
    if kind == "tensorType":
        return _tensor(message.tensorType)
    if kind == "stateType":
        inner = read_type(message.stateType.wrappedType)
        if isinstance(inner, TensorType):
            return StateType(inner)
    if kind is None or kind == "stateType":
        raise ArtifactError("the program has a value without a type", why=f"its type is {kind or 'not set'}")
    return OpaqueType(kind.removesuffix("Type"))


def _tensor(message: Any) -> TensorType:
    if message.dataType not in _NAMES:
        raise ArtifactError("the program has a value of an unknown type", what=f"DataType {message.dataType}")
    shape = tuple(int(size.constant.size) if size.WhichOneof("dimension") == "constant" else None for size in message.dimensions)
    found = TensorType(_NAMES[message.dataType], shape)
    if math.prod(1 if size is None else size for size in shape) > MOST_ELEMENTS:
        raise ArtifactError("the program declares a value too large to be computed", what=str(found), why=f"the limit is {MOST_ELEMENTS} elements")
    return found
