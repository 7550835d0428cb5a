"""Lists what an artifact stores as constants: name, bytes, digest and who reads it, so that what is stored twice, and what grew, can be named.

A place in the file where a value is stored counts once, however many operators and methods read it.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import field, frozen

_DIGITS = 16  # of a sha256, enough to tell a few thousand constants apart


@frozen
class Constant:
    """One stored value. ``size`` in bytes; ``sha256``: the first digits, of its bytes; ``methods``: those that read it."""

    name: str
    size: int
    sha256: str
    methods: frozenset[str] = field(default=frozenset(), eq=False)


@frozen
class _Stored:
    """That a method reads what is stored at a ``place``."""

    method: str
    place: Any
    name: str
    read: Callable[[], bytes]


def constants_of(path: Path, target: str) -> tuple[Constant, ...] | None:
    """Return an artifact's constants in the file's order; ``None``: the format names none. An only method may be called otherwise here.

    :raises ArtifactError: truncated or foreign.
    """
    if target not in _READERS:
        return None
    places: dict[Any, list[_Stored]] = {}
    for stored in _READERS[target](path):
        places.setdefault(stored.place, []).append(stored)
    return tuple(_constant(found) for found in places.values())


def _constant(found: list[_Stored]) -> Constant:
    content = found[0].read()
    digest = hashlib.sha256(content).hexdigest()[:_DIGITS]
    return Constant(found[0].name, len(content), digest, frozenset(stored.method for stored in found))


def _coreml(path: Path) -> Iterator[_Stored]:
    from edgekit.targets.coreml.package import operations_in, read_package, stored_bytes

    package = read_package(path)
    for method, function in package.functions.items():
        for block in function.block_specializations.values():
            for operation in operations_in(block):
                for value in operation.attributes.values():
                    if value.WhichOneof("value") == "blobFileValue":
                        place = (value.blobFileValue.fileName, value.blobFileValue.offset)
                        yield _Stored(method, place, operation.outputs[0].name, lambda place=place: stored_bytes(package, *place))  # type: ignore[misc]


def _tflite(path: Path) -> Iterator[_Stored]:
    from edgekit.targets.tflite.flatbuffer import data_of, text
    from edgekit.targets.tflite.verify import read_verified

    _, model = read_verified(path)
    for signature in (model.SignatureDefs(index) for index in range(model.SignatureDefsLength())):
        graph, method = model.Subgraphs(signature.SubgraphIndex()), text(signature.SignatureKey())
        for tensor in (graph.Tensors(index) for index in range(graph.TensorsLength())):
            if model.Buffers(tensor.Buffer()).DataLength():
                place = tensor.Buffer()
                yield _Stored(method, place, text(tensor.Name()), lambda place=place: data_of(model, place))  # type: ignore[misc]


def _onnx(path: Path) -> Iterator[_Stored]:
    import onnx

    from edgekit.targets.onnx.proto import graphs_of, read_model

    _, model = read_model(path)
    for graph in graphs_of(model.graph):
        for position, tensor in enumerate(graph.initializer):
            values = lambda tensor=tensor: onnx.numpy_helper.to_array(tensor).tobytes()  # noqa: E731
            yield _Stored(model.graph.name, (graph.name, position, tensor.name), tensor.name, values)


def _executorch(path: Path) -> Iterator[_Stored]:
    from edgekit.targets.executorch.lower import DESCRIPTION_KEY
    from edgekit.targets.executorch.pte import read_pte

    file = read_pte(path)
    named = [entry for entry in file.program.named_data if entry.key != DESCRIPTION_KEY]
    for plan in file.program.execution_plan:
        payloads = [file.payload(delegate) for delegate in plan.delegates]
        for entry in named:
            if any(entry.key.encode() in payload for payload in payloads):  # XNNPACK refers to its constants by these keys
                yield _Stored(plan.name, entry.segment_index, entry.key, lambda index=entry.segment_index: file.segment(index))  # type: ignore[misc]
        for index in sorted({getattr(value.val, "data_buffer_idx", 0) for value in plan.values} - {0}):  # of kernels outside; 0 is none
            yield _Stored(plan.name, ("outside", index), f"outside.{index}", lambda index=index: file.constant(index))  # type: ignore[misc]


_READERS: Mapping[str, Callable[[Path], Iterator[_Stored]]] = {"coreml": _coreml, "tflite": _tflite, "onnx": _onnx, "executorch": _executorch}
"""By target. Core AI's constants have no names; ExecuTorch's are called by their digest."""
