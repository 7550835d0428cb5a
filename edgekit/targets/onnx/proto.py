"""Reads an ONNX model from a file, and its interface out of the model."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from edgekit.errors import ArtifactError
from edgekit.interface import MethodSpec, TensorSpec
from edgekit.targets.file_kind import describe
from edgekit.targets.layouts import LAYOUTS_KEY, layout_from_text
from edgekit.targets.onnx.exits import exits_in

BATCH = "batch"
"""What the first axis of every input and output is called in a file that takes several at once."""
LARGEST_BATCH_KEY = "edgekit.largest_batch"
"""The metadata entry that says how many."""
_LONGEST_COUNT = 4  # digits


def read_model(path: Path) -> tuple[bytes, Any]:
    """Return a file's content and the ``onnx.ModelProto`` in it.

    :raises ArtifactError: not readable, not an ONNX file, truncated or damaged.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        content = path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"cannot read {path.name}", why=error.strerror or str(error)) from error
    try:
        model = onnx.ModelProto.FromString(content)
    except DecodeError as error:
        raise ArtifactError(
            f"{path.name} is not an ONNX file, or is truncated or damaged", what=f"found {describe(content)}", hint="write or copy it again"
        ) from error
    # Protobuf takes any prefix that ends between two fields, and an empty file, for a whole message.
    if not model.HasField("graph") or not model.opset_import:
        raise ArtifactError(f"{path.name} is not an ONNX file, or is truncated", what=f"found {describe(content)} without a graph or an operator set")
    # It also hands out a string that is not UTF-8 as bytes.
    if not all(isinstance(text, str) for text in _texts(model)):
        raise ArtifactError(f"{path.name} is damaged", what="a name in it is no text", hint="write or copy it again")
    if model.producer_name == "edgekit" and LAYOUTS_KEY not in metadata_of(model):
        raise ArtifactError(
            f"{path.name} is truncated", what=f"{len(content)} bytes; the last entry that edgekit writes is missing", hint="write or copy it again"
        )
    return content, model


def _texts(model: Any) -> Iterator[Any]:
    """Yield every string that edgekit reads from a model."""
    yield from (model.producer_name, model.producer_version, model.doc_string, model.domain, model.graph.name)
    for entry in model.metadata_props:
        yield from (entry.key, entry.value)
    yield from (item.name for items in (model.graph.input, model.graph.output, model.graph.initializer) for item in items)
    for graph in graphs_of(model.graph):
        for node in graph.node:
            yield from (node.domain, node.op_type)


def graphs_of(graph: Any) -> Iterator[Any]:
    """Yield a graph and those inside its nodes, the branches of an If for one."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else ()), *attribute.graphs):
                yield from graphs_of(inner)


def metadata_of(model: Any) -> dict[str, str]:
    """Return the model's metadata entries."""
    return {entry.key: entry.value for entry in model.metadata_props}


def methods_of(model: Any) -> tuple[MethodSpec, ...]:
    """Return a model's methods: the exits that can be cut out of it, if any, then its graph.

    :raises ArtifactError: an input or output has no fixed shape, or an exit is not there.
    """
    graph, metadata = model.graph, metadata_of(model)
    layouts, largest = metadata.get(LAYOUTS_KEY), metadata.get(LARGEST_BATCH_KEY, "")
    largest_batch = int(largest) if largest.isascii() and largest.isdigit() and len(largest) <= _LONGEST_COUNT else 1
    constants = {tensor.name for tensor in graph.initializer}  # older files list these among the inputs
    inputs = {value.name: value for value in graph.input if value.name not in constants}

    def method(name: str, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> MethodSpec:
        sides = (
            tuple(_tensor(own, value, layout_of=(layouts, name), batched=largest_batch > 1) for own, value in side.items())
            for side in (inputs, outputs)
        )
        return MethodSpec(name=name, inputs=next(sides), outputs=next(sides), largest_batch=largest_batch)

    exits = [method(each.name, each.inputs, each.outputs) for each in exits_in(model, metadata)]
    return (*exits, method(graph.name, inputs, {value.name: value for value in graph.output}))


def _tensor(name: str, value: Any, *, layout_of: tuple[str | None, str], batched: bool) -> TensorSpec:
    """Return the spec of an input or output; of one whose batch is open, that of a batch of one."""
    import onnx

    kind = value.type.tensor_type
    sizes = list(kind.shape.dim)
    open_batch = batched and bool(sizes) and sizes[0].dim_param == BATCH
    if not all(size.HasField("dim_value") for size in sizes[open_batch:]):
        raise ArtifactError(f"{name} has no fixed shape", why="edgekit runs and compares static shapes", hint="export it with fixed sizes")
    try:
        dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type).name
    except (KeyError, ValueError) as error:
        raise ArtifactError(f"{name} is of type {kind.elem_type}, which is no tensor type of ONNX") from error
    layout = layout_from_text(*layout_of, name)
    return TensorSpec(name=name, dtype=dtype, shape=(1,) * open_batch + tuple(size.dim_value for size in sizes[open_batch:]), layout=layout)


def interface_of(method: MethodSpec) -> str:
    """Return a method's interface in words: ``image float32 (1, 3, 224, 224) -> logits float32 (1, 1000)``."""
    sides = (", ".join(f"{t.name} {t.dtype} {t.shape}" for t in side) for side in (method.inputs, method.outputs))
    return " -> ".join(sides)
