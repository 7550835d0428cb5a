"""Reads a ``.tflite`` file only as far as it can be trusted: identifier, then offsets, then numbers that refer to something."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from edgekit.errors import ArtifactError
from edgekit.targets.file_kind import describe
from edgekit.targets.tflite.flatbuffer import parse
from edgekit.targets.tflite.runtime import interpreter

_IDENTIFIER = b"TFL3"
_ABSENT = -1  # an optional operand that is left out
_MOST_ELEMENTS = 2**28  # 1 GB of floats in one tensor; a damaged shape would have LiteRT take all memory there is


def read_verified(path: Path) -> tuple[bytes, Any]:
    """Return a file's content and the flatbuffer's root in it, safe to read with :mod:`edgekit.targets.tflite.flatbuffer`.

    The content is read rather than mapped into memory: what is checked stays what is used, whatever becomes of the file.

    :raises ArtifactError: not readable, not a TFLite file, truncated or damaged.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"cannot read {path.name}", why=error.strerror or str(error)) from error
    if content[4:8] != _IDENTIFIER:
        raise ArtifactError(f"{path.name} is not a TFLite file", what=f"found {describe(content)}", hint="a TFLite file has TFL3 as its bytes 5 to 8")
    try:
        interpreter(content, threads=1)
    except ValueError as error:
        if "Flatbuffer" in str(error):  # the words of LiteRT's verifier of offsets; anything else was said after it had passed
            raise _damaged(path, f"{len(content)} bytes that start as a TFLite file; its tables point outside or do not fit") from error
    model = parse(content)
    for what, number, limit in _references(model):
        if not 0 <= number < limit:
            raise _damaged(path, f"{what}: {number}, which is not below {limit}")
    return content, model


def _damaged(path: Path, what: str) -> ArtifactError:
    return ArtifactError(f"{path.name} is truncated or damaged", what=what, hint="write or copy it again")


def _elements(tensor: Any) -> int:
    """Return the number of elements; sizes that are not known before running are -1 in the signature and 1 in the shape."""
    return math.prod(tensor.Shape(axis) for axis in range(tensor.ShapeLength()))


def _references(model: Any) -> Iterable[tuple[str, int, int]]:
    """Yield what each number is, the number, and what it must be below; LiteRT's verifier looks at offsets only.

    Later numbers are looked up with earlier ones: the caller has to stop at the first that is not below its limit.
    """
    for graph in (model.Subgraphs(index) for index in range(model.SubgraphsLength())):
        tensors = graph.TensorsLength()
        for tensor in (graph.Tensors(index) for index in range(tensors)):
            yield "number of a buffer", tensor.Buffer(), model.BuffersLength()
            yield "elements of a tensor", _elements(tensor), _MOST_ELEMENTS
        for operator in (graph.Operators(index) for index in range(graph.OperatorsLength())):
            yield "number of an operator code", operator.OpcodeIndex(), model.OperatorCodesLength()
            operands = [operator.Inputs(index) for index in range(operator.InputsLength())]
            results = [operator.Outputs(index) for index in range(operator.OutputsLength())]
            yield from (("number of a tensor", index, tensors) for index in operands + results if index != _ABSENT)
            # An operator may leave out a bias, say, but LiteRT's kernels and XNNPACK read the first operand unasked.
            yield "place of the first operand", 0, sum(index != _ABSENT for index in operands[:1])
    for entry in (model.Metadata(index) for index in range(model.MetadataLength())):
        yield "number of a buffer", entry.Buffer(), model.BuffersLength()
    for signature in (model.SignatureDefs(index) for index in range(model.SignatureDefsLength())):
        yield "number of a subgraph", signature.SubgraphIndex(), model.SubgraphsLength()
        tensors = model.Subgraphs(signature.SubgraphIndex()).TensorsLength()
        inputs = [signature.Inputs(index) for index in range(signature.InputsLength())]
        outputs = [signature.Outputs(index) for index in range(signature.OutputsLength())]
        yield from (("number of a tensor", entry.TensorIndex(), tensors) for entry in inputs + outputs)
