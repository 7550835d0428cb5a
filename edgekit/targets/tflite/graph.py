"""A flatbuffer's subgraphs as plain data: every operator with the tensors it reads and writes."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from attrs import field, frozen

from edgekit.targets.tflite.delegation import partition_of
from edgekit.targets.tflite.flatbuffer import data_of, dtype_name, operators_of, text
from edgekit.targets.tflite.verify import read_verified

_ABSENT = -1
_MODULE = re.compile(r"^([^;]+);")
"""``stage1.0.proj;3`` and ``stage1.0.proj;;stage0.0.proj;``: the converter writes the module's path first, then what tells names apart."""


@frozen(kw_only=True)
class Tensor:
    """One tensor. ``shape`` has ``None`` where the size is known at run time only; ``values`` are those of a small stored one."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]
    stored: bool
    values: tuple[int, ...] = field(default=(), repr=False)

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join('?' if size is None else str(size) for size in self.shape)}]"


@frozen(kw_only=True)
class TfliteOperator:
    """One operator; an operand that is left out is ``None``. ``delegated``: whether XNNPACK takes it, ``None`` where nobody knows."""

    kind: str
    operands: tuple[Tensor | None, ...]
    results: tuple[Tensor, ...]
    delegated: bool | None = None

    @property
    def name(self) -> str:
        """The name of its first result; operators have none of their own."""
        return self.results[0].name if self.results else self.kind

    @property
    def module(self) -> str | None:
        """The path of the module it comes from, in the form in which edgekit has the converter write it."""
        found = _MODULE.match(self.name)
        return found[1] if found else None

    @property
    def node(self) -> str | None:
        """What the method calls this output, where it is one; other results are named by module."""
        return None if self.module else self.name

    @property
    def tensors(self) -> Iterator[Tensor]:
        """All tensors it reads and writes that are not stored."""
        yield from (tensor for tensor in (*self.operands, *self.results) if tensor is not None and not tensor.stored)


@frozen(kw_only=True)
class TfliteGraph:
    """One signature. ``delegates`` is how many parts XNNPACK takes it in, ``None`` where LiteRT cannot load the file."""

    method: str
    operators: tuple[TfliteOperator, ...]
    delegates: int | None = None


def read_graphs(path: Path) -> tuple[TfliteGraph, ...]:
    """Read a file's signatures, and what XNNPACK takes of each.

    :raises ArtifactError: not readable, truncated, or foreign.
    """
    content, model = read_verified(path)
    signatures = [model.SignatureDefs(index) for index in range(model.SignatureDefsLength())]
    named = [(text(signature.SignatureKey()), signature.SubgraphIndex()) for signature in signatures]
    return tuple(_graph(content, model, method, index) for method, index in named or [("main", 0)])


def _graph(content: bytes, model: Any, method: str, index: int) -> TfliteGraph:
    partition = partition_of(content, index)
    operators = _operators(model, model.Subgraphs(index), None if partition is None else partition.inside)
    return TfliteGraph(method=method, operators=operators, delegates=None if partition is None else partition.delegates)


def _operators(model: Any, graph: Any, inside: frozenset[int] | None) -> tuple[TfliteOperator, ...]:
    """Return a subgraph's operators in execution order; ``inside`` are positions of those that XNNPACK takes."""
    tensors = [_tensor(model, graph.Tensors(index)) for index in range(graph.TensorsLength())]
    rows = [graph.Operators(index) for index in range(graph.OperatorsLength())]
    return tuple(
        TfliteOperator(
            kind=kind,
            operands=tuple(None if index == _ABSENT else tensors[index] for index in _numbers(row.InputsAsNumpy())),
            results=tuple(tensors[index] for index in _numbers(row.OutputsAsNumpy())),
            delegated=None if inside is None else position in inside,
        )
        for position, (kind, row) in enumerate(zip(operators_of(model, graph), rows, strict=True))
    )


def _tensor(model: Any, tensor: Any) -> Tensor:
    dtype, data = dtype_name(tensor.Type()), data_of(model, tensor.Buffer())
    # Sizes that are not known before running are -1 in the signature and 1 in the shape.
    sizes = _numbers(tensor.ShapeSignatureAsNumpy()) or _numbers(tensor.ShapeAsNumpy())
    few = dtype == "int32" and len(data) <= 64
    return Tensor(
        name=text(tensor.Name()),
        dtype=dtype,
        shape=tuple(None if size < 0 else size for size in sizes),
        stored=bool(data) or model.Buffers(tensor.Buffer()).Size() > 0,  # in files above 2 GB constants lie behind the flatbuffer
        values=tuple(map(int, np.frombuffer(data, "<i4"))) if few and len(data) % 4 == 0 else (),
    )


def _numbers(vector: Any) -> list[int]:
    """Return a vector's numbers; the generated reader gives 0 for one that is absent."""
    return [int(number) for number in np.atleast_1d(vector)] if not isinstance(vector, int) else []
