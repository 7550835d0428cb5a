"""Reads values from a Core ML weights file.

    64 bytes     header: count of entries (uint32), version 2 (uint32)
    64 bytes     entry: 0xDEADBEEF, dtype (uint32), size and offset of the data in bytes (uint64), unused bits at its end (uint64)
    ...          data, aligned to 64 bytes

Values of less than eight bits are packed without gaps, the first in the lowest bits.
"""

import math
import mmap
import struct
from pathlib import Path

import numpy as np

from edgekit.errors import ArtifactError

Array = np.ndarray

_ENTRY = struct.Struct("<IIQQ")
_SENTINEL = 0xDEADBEEF

_BLOB_DTYPES = {
    1: "fp16",
    2: "fp32",
    3: "uint8",
    4: "int8",
    5: "bf16",
    6: "int16",
    7: "uint16",
    8: "int4",
    9: "uint1",
    10: "uint2",
    11: "uint4",
    12: "uint3",
    13: "uint6",
    14: "int32",
    15: "uint32",
}
_WHOLE = {"fp16": "<f2", "fp32": "<f4", "fp64": "<f8", "int8": "i1", "int16": "<i2", "int32": "<i4", "int64": "<i8"}
_WHOLE |= {"uint8": "u1", "uint16": "<u2", "uint32": "<u4", "uint64": "<u8", "bool": "?"}
_PACKED = {"int4": 4, "uint1": 1, "uint2": 2, "uint3": 3, "uint4": 4, "uint6": 6}


class WeightsFile:
    """One weights file, mapped into memory; values are copied out when asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as stream:
                self._content: bytes | mmap.mmap = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:  # ValueError: an empty file cannot be mapped
            raise ArtifactError(f"the weights {path.name} cannot be read", why=str(error)) from error

    def read(self, offset: int, dtype: str, shape: tuple[int, ...]) -> Array:
        """Return the value whose entry lies at ``offset``.

        :raises ArtifactError: no entry there, of another type, or not as long as the shape asks for.
        """
        entry = self._content[offset : offset + _ENTRY.size]
        if len(entry) < _ENTRY.size:
            raise self._damaged(offset, "the file ends before it")
        sentinel, kind, size, start = _ENTRY.unpack(entry)
        if sentinel != _SENTINEL or start + size > len(self._content):
            raise self._damaged(offset, "it is no entry, or its data lies outside the file")
        if _BLOB_DTYPES.get(kind) != dtype and not (dtype == "bool" and kind == 3):
            raise self._damaged(offset, f"it holds {_BLOB_DTYPES.get(kind, f'type {kind}')}, the program says {dtype}")
        try:
            return decode(self._content[start : start + size], dtype, shape)
        except ValueError as error:
            raise self._damaged(offset, str(error)) from error

    def _damaged(self, offset: int, why: str) -> ArtifactError:
        return ArtifactError("the weights are truncated or damaged", what=f"{self.path.name}, entry at {offset}", why=why)


def decode(content: bytes, dtype: str, shape: tuple[int, ...]) -> Array:
    """Return stored bytes as an array: ``bf16`` as float32, fewer than eight bits as (u)int8.

    :raises ValueError: the bytes do not fill the shape.
    """
    count = math.prod(shape)
    if dtype in _WHOLE:
        values = np.frombuffer(content, _WHOLE[dtype])
    elif dtype == "bf16":
        values = (np.frombuffer(content, "<u2").astype(np.uint32) << 16).view(np.float32)
    else:
        values = _unpack(content, dtype, count)
    if values.size != count:
        raise ValueError(f"{len(content)} bytes do not hold {count} values of {dtype}")
    return values.reshape(shape).copy()


def _unpack(content: bytes, dtype: str, count: int) -> Array:
    bits = _PACKED[dtype]
    needed = -(-count * bits // 8)
    if len(content) < needed:
        raise ValueError(f"{len(content)} bytes do not hold {count} values of {dtype}")
    flat = np.unpackbits(np.frombuffer(content[:needed], np.uint8), bitorder="little", count=count * bits).reshape(count, bits)
    values = (flat << np.arange(bits, dtype=np.uint8)).sum(axis=1, dtype=np.uint8)
    if dtype == "int4":
        return (values.astype(np.int8) ^ 8) - 8
    return values
