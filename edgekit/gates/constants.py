"""Lists what an artifact stores as constants: name, bytes and digest, so that what is stored twice, and what grew, can be named.

Every format is read once per place where it stores values: a value that two operators share counts once.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from attrs import frozen

_DIGITS = 16  # of a sha256, enough to tell a few thousand constants apart


@frozen
class Constant:
    """One stored value. ``size`` in bytes; ``sha256``: the first digits, of its bytes."""

    name: str
    size: int
    sha256: str


def _constant(name: str, content: bytes) -> Constant:
    return Constant(name, len(content), hashlib.sha256(content).hexdigest()[:_DIGITS])


def _coreml(path: Path) -> Iterator[Constant]:
    from edgekit.targets.coreml.package import operations_in, read_package, stored_bytes

    package = read_package(path)
    seen: set[tuple[str, int]] = set()
    for function in package.functions.values():
        for block in function.block_specializations.values():
            for operation in operations_in(block):
                for value in operation.attributes.values():
                    place = (value.blobFileValue.fileName, value.blobFileValue.offset)
                    if value.WhichOneof("value") == "blobFileValue" and place not in seen:
                        seen.add(place)
                        yield _constant(operation.outputs[0].name, stored_bytes(package, *place))


def _tflite(path: Path) -> Iterator[Constant]:
    from edgekit.targets.tflite.flatbuffer import data_of, text
    from edgekit.targets.tflite.verify import read_verified

    _, model = read_verified(path)
    seen: set[int] = set()
    for graph in (model.Subgraphs(index) for index in range(model.SubgraphsLength())):
        for tensor in (graph.Tensors(index) for index in range(graph.TensorsLength())):
            content = b"" if tensor.Buffer() in seen else data_of(model, tensor.Buffer())
            seen.add(tensor.Buffer())
            if content:
                yield _constant(text(tensor.Name()), content)


def _onnx(path: Path) -> Iterator[Constant]:
    import onnx

    from edgekit.targets.onnx.proto import graphs_of, read_model

    _, model = read_model(path)
    for graph in graphs_of(model.graph):
        for tensor in graph.initializer:
            yield _constant(tensor.name, onnx.numpy_helper.to_array(tensor).tobytes())


def _executorch(path: Path) -> Iterator[Constant]:
    from edgekit.targets.executorch.lower import DESCRIPTION_KEY
    from edgekit.targets.executorch.pte import read_pte

    file = read_pte(path)
    seen: set[int] = set()
    for entry in file.program.named_data:
        if entry.key != DESCRIPTION_KEY and entry.segment_index not in seen:
            seen.add(entry.segment_index)
            yield _constant(entry.key, file.segment(entry.segment_index))


READERS: Mapping[str, Callable[[Path], Iterator[Constant]]] = {"coreml": _coreml, "tflite": _tflite, "onnx": _onnx, "executorch": _executorch}
"""By target. Core AI's constants have no names; ExecuTorch's are called by their digest."""
