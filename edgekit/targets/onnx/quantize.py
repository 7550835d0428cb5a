"""Quantizes a float graph for onnxruntime, which is to say: writes conversions around the nodes that it then runs in integers.

w8a8    QuantizeLinear and DequantizeLinear around weights and values, ranges from samples; onnxruntime's own quantizer writes them,
        edgekit chooses the nodes (:mod:`edgekit.targets.onnx.roles`) and the ranges
w8a32   DequantizeLinear behind 8-bit weights alone

A weight has a symmetric scale for each output channel. Values are unsigned bytes: on x86 onnxruntime turns signed ones into these where one
operator reads them, and computes in floats where several do. Inputs and results stay floats.
Source: onnxruntime's documentation, "Quantize ONNX models"; what it makes of a file is in the session's ``optimized_model_filepath``.
"""

import ast
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np

from edgekit.errors import LoweringError
from edgekit.interface import MethodSpec
from edgekit.quantization.job import Quantization
from edgekit.quantization.ranges import Histogram
from edgekit.targets.onnx.roles import GIVES_FLOATS, OPERATORS, PRODUCTS, Shapes, has_constant_weights, integer_nodes
from edgekit.targets.onnx.spell_integers import spell_for_integers

_SCOPES = "pkg.torch.onnx.name_scopes"  # a list; the captured node's own name is the last


def quantized(model: Any, method: MethodSpec, quantization: Quantization) -> Any:
    """Return a quantized ``onnx.ModelProto`` for one that torch wrote, with its metadata and ``value_info``; that one is used up.

    :raises LoweringError: the scheme needs samples and there are none.
    """
    samples = quantization.calibration.get(method.name, ())
    kept = quantization.kept_float.get(method.name, frozenset())
    if not quantization.scheme.calibrated:
        _shrink_weights(model.graph, kept)
        return model
    if not samples:
        raise LoweringError(f"no samples to calibrate method {method.name} with", hint="--data DIR")
    from onnxruntime.quantization.onnx_model import ONNXModel

    spell_for_integers(model.graph)
    shapes = Shapes.of(model.graph)
    chosen = integer_nodes(model.graph, shapes, [node.name for node in model.graph.node if _is_kept(node, kept)])
    values = dict.fromkeys(name for node in chosen for name in (*node.input, *node.output) if name in shapes.sizes and name not in shapes.constants)
    written = _with_conversions(model, [node.name for node in chosen], _ranges(model, list(values), samples))
    _let_floats_read_floats(written.graph, {node.name for node in chosen})
    ONNXModel(written).topological_sort()  # what was added stands at the end; onnxruntime sorts a graph, but not the branches of an If
    return written


def _is_kept(node: Any, kept: Collection[str]) -> bool:
    """Whether a node comes from a captured node that stays in floats."""
    scopes = next((entry.value for entry in node.metadata_props if entry.key == _SCOPES), None)
    return scopes is not None and bool(names := ast.literal_eval(scopes)) and names[-1] in kept


def _ranges(model: Any, values: list[str], samples: tuple[Mapping[str, np.ndarray], ...]) -> dict[str, tuple[float, float]]:
    """Run a model on samples and return the range of each of its values by name."""
    import onnx
    import onnxruntime

    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    given = {value.name for value in (*model.graph.input, *model.graph.output)}
    watched.graph.output.extend(value for value in model.graph.value_info if value.name in set(values) - given)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    session = onnxruntime.InferenceSession(watched.SerializeToString(), options, providers=["CPUExecutionProvider"])
    inputs = {value.name for value in model.graph.input}
    asked = [name for name in values if name not in inputs]
    seen = {name: Histogram() for name in values}
    for sample in samples:
        for name in inputs & set(values):
            seen[name].add(sample[name])
        for name, value in zip(asked, session.run(asked, dict(sample)), strict=True):
            seen[name].add(value)
    return {name: histogram.range() for name, histogram in seen.items()}


def _with_conversions(model: Any, nodes: list[str], ranges: Mapping[str, tuple[float, float]]) -> Any:
    from onnxruntime.quantization.calibrate import CalibrationMethod, TensorData, TensorsData
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
    from onnxruntime.quantization.quant_utils import QuantType

    single = {name: TensorData(lowest=np.float32(low), highest=np.float32(high)) for name, (low, high) in ranges.items()}
    quantizer = QDQQuantizer(
        model,
        True,
        False,
        QuantType.QInt8,
        QuantType.QUInt8,
        TensorsData(CalibrationMethod.MinMax, single),
        nodes,
        [],
        [*PRODUCTS, *OPERATORS],
        {"ActivationSymmetric": False, "WeightSymmetric": True},
    )
    return quantizer.quantize_model()


def _let_floats_read_floats(graph: Any, integers: Collection[str]) -> None:
    """Spare operators in floats conversions to integers and back, in place.

    They read a value that was computed in floats as it was; and where no operator in integers reads what a Gemm or MatMul gives, its kernel
    gives floats itself.
    """
    makers = {output: node for node in graph.node for output in node.output}
    readers: dict[str, list[Any]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    results = {value.name for value in graph.output}
    gone: set[str] = set()
    for node in [node for node in graph.node if node.op_type == "QuantizeLinear"]:
        maker = makers.get(node.input[0])
        back = readers.get(node.output[0], [])
        given = {each.output[0] for each in back}
        after = [reader for name in sorted(given) for reader in readers.get(name, [])]
        if maker is not None and maker.name in integers:
            if maker.op_type not in GIVES_FLOATS or any(each.name in integers for each in after):
                continue
            maker.output[:] = [next((name for name in sorted(given) if name in results), maker.output[0])]
            gone.update((node.name, *(each.name for each in back)))
        whole = node.input[0] if maker is None else maker.output[0]
        for reader in after:
            if reader.name not in integers:
                reader.input[:] = [whole if name in given else name for name in reader.input]
    kept = [node for node in graph.node if node.name not in gone]
    del graph.node[:]
    graph.node.extend(kept)
    read = {name for node in graph.node for name in node.input}
    constants = [tensor for tensor in graph.initializer if tensor.name in read]
    del graph.initializer[:]
    graph.initializer.extend(constants)


def _shrink_weights(graph: Any, kept: Collection[str]) -> None:
    """Store the weights of products in 8 bits, and write a DequantizeLinear behind each, in place."""
    shapes = Shapes.of(graph)
    stays = {node.input[1] for node in graph.node if has_constant_weights(node, shapes) and _is_kept(node, kept)}
    axes = {node.input[1]: _channels(node) for node in graph.node if has_constant_weights(node, shapes) and node.input[1] not in stays}
    read_elsewhere = {name for node in graph.node for place, name in enumerate(node.input) if place != 1 or node.op_type not in PRODUCTS}
    written = list(_shrunk(graph, {name: axis for name, axis in axes.items() if name not in read_elsewhere}))
    nodes = [*written, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def _channels(node: Any) -> int:
    """Return the axis of a product's weight that its output channels lie on."""
    turned = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
    return 0 if node.op_type == "Conv" or turned else 1


def _shrunk(graph: Any, axes: Mapping[str, int]) -> Iterator[Any]:
    from onnx import helper, numpy_helper

    for tensor in [tensor for tensor in graph.initializer if tensor.name in axes]:
        name, axis = tensor.name, axes[tensor.name]
        values = numpy_helper.to_array(tensor)
        others = tuple(other for other in range(values.ndim) if other != axis)
        scales = np.maximum(np.abs(values).max(axis=others, keepdims=True) / 127, np.float32(1e-12)).astype(np.float32)
        integers = np.clip(np.rint(values / scales), -127, 127).astype(np.int8)
        tensor.CopyFrom(numpy_helper.from_array(integers, f"{name}/integers"))
        graph.initializer.append(numpy_helper.from_array(scales.reshape(-1), f"{name}/scales"))
        graph.initializer.append(numpy_helper.from_array(np.zeros(scales.size, dtype=np.int8), f"{name}/zeros"))
        yield helper.make_node("DequantizeLinear", [f"{name}/{part}" for part in ("integers", "scales", "zeros")], [name], name=name, axis=axis)
