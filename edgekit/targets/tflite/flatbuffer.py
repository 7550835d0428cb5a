"""Reads a TFLite flatbuffer: its methods, operators and metadata.

Only for content that :mod:`edgekit.targets.tflite.verify` has seen, or the converter has just written: the generated
reader follows offsets without checking them.
"""

from typing import Any

import numpy as np

from edgekit.errors import ArtifactError
from edgekit.interface import MethodSpec, TensorSpec
from edgekit.targets.layouts import LAYOUTS_KEY, layout_from_text

_DTYPES = {
    "FLOAT32": "float32",
    "FLOAT16": "float16",
    "FLOAT64": "float64",
    "BFLOAT16": "bfloat16",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "UINT8": "uint8",
    "UINT16": "uint16",
    "UINT32": "uint32",
    "UINT64": "uint64",
    "BOOL": "bool",
    "STRING": "str",
}


def parse(content: bytes) -> Any:
    """Return the flatbuffer's root, an ``ai_edge_litert.schema_py_generated.Model``."""
    from ai_edge_litert import schema_py_generated

    return schema_py_generated.Model.GetRootAs(content, 0)


def metadata_of(model: Any) -> dict[str, bytes]:
    """Return the metadata entries, raw: other tools store binary ones."""
    entries = [model.Metadata(index) for index in range(model.MetadataLength())]
    return {text(entry.Name()): data_of(model, entry.Buffer()) for entry in entries}


def data_of(model: Any, buffer: int) -> bytes:
    """Return a buffer's bytes; empty for one that holds none."""
    block = model.Buffers(buffer)
    return bytes(block.DataAsNumpy()) if block.DataLength() else b""


def text(value: bytes | None) -> str:
    """Decode a flatbuffer's string."""
    return (value or b"").decode(errors="replace")


def methods_of(model: Any) -> tuple[MethodSpec, ...]:
    """Return one method per signature, in file order.

    :raises ArtifactError: the file has no signature.
    """
    layouts = metadata_of(model).get(LAYOUTS_KEY, b"").decode(errors="replace")
    signatures = [model.SignatureDefs(index) for index in range(model.SignatureDefsLength())]
    if not signatures:
        raise ArtifactError(
            "the TFLite file has no signature", why="its methods cannot be called by name", hint="export it with edgekit, or with named signatures"
        )
    return tuple(_method(model, signature, layouts) for signature in signatures)


def _method(model: Any, signature: Any, layouts: str) -> MethodSpec:
    name = text(signature.SignatureKey())
    graph = model.Subgraphs(signature.SubgraphIndex())
    # A signature lists its tensors by the alphabet, the subgraph in the order of the model's arguments and results.
    inputs = _in_order([signature.Inputs(index) for index in range(signature.InputsLength())], graph.InputsAsNumpy())
    outputs = _in_order([signature.Outputs(index) for index in range(signature.OutputsLength())], graph.OutputsAsNumpy())
    return MethodSpec(
        name=name,
        inputs=tuple(_tensor(graph, name, entry, layouts) for entry in inputs),
        outputs=tuple(_tensor(graph, name, entry, layouts) for entry in outputs),
    )


def _in_order(entries: list[Any], tensors: Any) -> list[Any]:
    places = {int(tensor): place for place, tensor in reversed(list(enumerate(np.atleast_1d(tensors))))}
    return sorted(entries, key=lambda entry: places.get(entry.TensorIndex(), len(places)))


def _tensor(graph: Any, method: str, entry: Any, layouts: str) -> TensorSpec:
    name = text(entry.Name())
    tensor = graph.Tensors(entry.TensorIndex())
    shape = tuple(int(size) for size in tensor.ShapeAsNumpy()) if tensor.ShapeLength() else ()
    scale, zero_point = _quantization(tensor)
    dtype = dtype_name(tensor.Type())
    return TensorSpec(name=name, dtype=dtype, shape=shape, layout=layout_from_text(layouts, method, name), scale=scale, zero_point=zero_point)


def _quantization(tensor: Any) -> tuple[float | None, int]:
    """Return what a tensor's integers of 8 bits stand for; no scale where they are just integers."""
    found = tensor.Quantization()
    if found is None or dtype_name(tensor.Type()) not in ("int8", "uint8") or found.ScaleLength() != 1:
        return None, 0
    return float(found.Scale(0)), int(found.ZeroPoint(0)) if found.ZeroPointLength() else 0


def dtype_name(code: int) -> str:
    """Return NumPy's name of a tensor type, or the flatbuffer's own where NumPy has none."""
    name = _enum_name("TensorType", code)
    return _DTYPES.get(name, name.lower())


def operators_of(model: Any, graph: Any) -> list[str]:
    """Return the names of a subgraph's operators in execution order, ``CONV_2D`` or a custom operator's own."""
    return [_operator_name(model, graph.Operators(index)) for index in range(graph.OperatorsLength())]


def _operator_name(model: Any, operator: Any) -> str:
    code = model.OperatorCodes(operator.OpcodeIndex())
    # Codes up to 127 lived in a field of one byte; a reader takes the larger of the two.
    builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    name = _enum_name("BuiltinOperator", builtin)
    return text(code.CustomCode()) if name == "CUSTOM" else name


def _enum_name(enum: str, code: int) -> str:
    from ai_edge_litert import schema_py_generated

    values = vars(getattr(schema_py_generated, enum))
    return next((name for name, value in values.items() if value == code and not name.startswith("_")), f"{enum}_{code}")
