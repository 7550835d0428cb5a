"""Quantizes a float flatbuffer with ai-edge-quantizer: what the plan says becomes integers, inputs and outputs where that is asked for.

    float32 image ── QUANTIZE ── CONV_2D int8 ── ADD int8 ── RESHAPE int8 ── DEQUANTIZE ── SOFTMAX float32 ── ...

The converter writes tensors' names from what its operators are called, here by method and captured node (``exit_1/conv2d_3``), so that a decision
about a node reaches the operators that it became. The quantizer knows tensors by name alone: during its work each has a name of its own, for two
methods may have tensors of one name and other values. In the end operators are called by their module again, as in a float file.

Operators without a decision only move data, or were added by the converter: they become integers where that needs fewer conversions.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from attrs import frozen
from torch import fx

from edgekit.quantization.job import Quantization
from edgekit.quantization.ranges import Histogram
from edgekit.targets.base import LoweringJob
from edgekit.targets.failure import module_path
from edgekit.targets.tflite.integers import DYNAMIC, FOUR_BITS, LOOKED_UP, MOVING, PRODUCTS, STATIC, STORED, following
from edgekit.targets.tflite.pack import pack

Array = np.ndarray
_ABSENT = -1
_LONGEST_FUSED = 4
_EPSILON = 1e-3
_PRODUCT = re.compile(r"conv|linear|addmm|matmul|\b[b]?mm\b")
_UNIQUE = re.compile(rb"^(\d+)\.(\d+)(.*)$", re.DOTALL)


@frozen(kw_only=True)
class _Operator:
    """One operator of a subgraph: what it is, the tensors it reads and writes by number, and the captured nodes that it was fused from."""

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    nodes: tuple[str, ...]


def quantize(content: bytes, job: LoweringJob, quantization: Quantization) -> bytes:
    """Return the flatbuffer with what the scheme asks for in integers.

    :param content: converted with :func:`tag`-ged names.
    :raises Exception: whatever ai-edge-quantizer raises.
    """
    from ai_edge_litert.tools import flatbuffer_utils
    from ai_edge_quantizer.quantizer import Quantizer

    model = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    names = [[tensor.name for tensor in graph.tensors] for graph in model.subgraphs]
    results = [[int(number) for number in graph.outputs] for graph in model.subgraphs]
    methods = {signature.subgraphIndex: signature.signatureKey.decode() for signature in model.signatureDefs}
    graphs = {index: _operators(model, index, job, method) for index, method in methods.items()}
    stored = {index: _stored(quantization, methods[index], operators, model.subgraphs[index], model.buffers) for index, operators in graphs.items()}
    chosen = {index: _chosen(quantization, methods[index], operators, model.subgraphs[index], model.buffers) for index, operators in graphs.items()}
    for index, graph in enumerate(model.subgraphs):
        for number, tensor in enumerate(graph.tensors):
            tensor.name = f"{index}.{number}".encode()
    unique = bytes(flatbuffer_utils.convert_object_to_bytearray(model))
    quantizer = Quantizer(bytearray(unique))
    in_integers = job.recipe.io == "int8"
    _set_recipe(quantizer, quantization, graphs, chosen)
    if in_integers:
        _take_integers(quantizer)
    _store_weights(quantizer, quantization.scheme.weight_bits, graphs, {index: stored[index] - chosen[index] for index in graphs})
    edges = {index: [*map(int, graph.inputs), *map(int, graph.outputs)] if in_integers else [] for index, graph in enumerate(model.subgraphs)}
    ranges = _ranges(unique, quantization, methods, graphs, chosen, edges, model) if quantization.scheme.calibrated else None
    if not quantizer.get_quantization_recipe():
        return _named(content, names, results, job)
    quantized = quantizer.quantize(ranges, enable_progress_bar=False, enable_progress_report=False).quantized_model
    return _named(bytes(quantized), names, results, job)


def tag(method: str, node: str) -> str:
    """Return what the converter is to call the operators of a captured node."""
    return f"{method}/{node}"


def _output_nodes(job: LoweringJob, method: str) -> dict[str, str]:
    """Return the nodes behind a method's outputs, which the converter calls by the outputs' names."""
    spec = next(spec for spec in job.methods if spec.name == method)
    return dict(zip((tensor.name for tensor in spec.outputs), map(str, job.programs[method].graph_signature.user_outputs), strict=True))


def _operators(model: Any, index: int, job: LoweringJob, method: str) -> list[_Operator]:
    from ai_edge_litert import schema_py_generated

    names = {code: name for name, code in vars(schema_py_generated.BuiltinOperator).items() if isinstance(code, int)}
    graph, outputs = model.subgraphs[index], _output_nodes(job, method)
    captured = {node.name: node for node in job.programs[method].graph.nodes}
    found = []
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        kind = names[max(code.builtinCode, code.deprecatedBuiltinCode)]
        node = captured.get(_node(graph.tensors[operator.outputs[0]].name.decode(), outputs) or "")
        nodes = () if node is None else _fused(node) if kind in PRODUCTS else (node.name,)
        found.append(_Operator(kind=kind, inputs=tuple(map(int, operator.inputs)), outputs=tuple(map(int, operator.outputs)), nodes=nodes))
    return found


def _node(name: str, outputs: Mapping[str, str]) -> str | None:
    first = name.partition(";")[0]
    _, found, node = first.partition("/")
    return node if found else outputs.get(first)


def _fused(node: fx.Node) -> tuple[str, ...]:
    """Return a node and those before it, to the product that it was fused with: a convolution is called by the activation behind it."""
    found = [node.name]
    while not _PRODUCT.search(str(node.target)):
        before = [source for source in node.all_input_nodes if source.op == "call_function"]
        if len(before) != 1 or len(found) > _LONGEST_FUSED:
            break
        node = before[0]
        found.append(node.name)
    return tuple(found)


def _stored(quantization: Quantization, method: str, operators: Sequence[_Operator], graph: Any, buffers: Any) -> frozenset[int]:
    """Return the positions of the operators whose weights are integers, whatever they compute in."""
    wanted = quantization.stored.get(method, frozenset())
    return frozenset(
        position
        for position, operator in enumerate(operators)
        if operator.kind in STORED and wanted.intersection(operator.nodes) and _is_constant(operator.inputs[1], graph, buffers)
    )


def _is_constant(number: int, graph: Any, buffers: Any) -> bool:
    return number != _ABSENT and (data := buffers[graph.tensors[number].buffer].data) is not None and len(data) > 0


def _chosen(quantization: Quantization, method: str, operators: Sequence[_Operator], graph: Any, buffers: Any) -> frozenset[int]:
    """Return the positions of the operators that are quantized."""
    scheme = quantization.scheme
    if scheme.activations == "int8-static":
        fixed = {
            position: (operator.kind in STATIC or operator.kind in LOOKED_UP)
            and not any(quantization.keeps(method, node) for node in operator.nodes)
            and not _adds_next_to_nothing(operator, graph, buffers)
            for position, operator in enumerate(operators)
            if operator.kind not in MOVING and operator.nodes
        }
        # The quantizer fails on a stored operand of another rank than the scales: "Ranks of scales (4) and zps (4) must be the same".
        fixed |= {
            position: False
            for position, operator in enumerate(operators)
            if operator.kind == "CONCATENATION" and any(_is_constant(number, graph, buffers) for number in operator.inputs)
        }
        sizes = {
            number: int(np.prod(tensor.shape))
            for number, tensor in enumerate(graph.tensors)
            if _is_float(tensor) and not _is_constant(number, graph, buffers)
        }
        return frozenset(position for position in following(operators, fixed, sizes) if operators[position].kind not in LOOKED_UP)
    wanted = DYNAMIC if scheme.activations == "int8-dynamic" else FOUR_BITS if scheme.weight_bits == 4 else STORED
    return frozenset(
        position
        for position, operator in enumerate(operators)
        if operator.kind in wanted
        and _is_constant(operator.inputs[1], graph, buffers)
        and not any(quantization.keeps(method, node) for node in operator.nodes)
    )


def _adds_next_to_nothing(operator: _Operator, graph: Any, buffers: Any) -> bool:
    """Whether a sum's stored operand is an epsilon: XNNPACK does not take scales that are more than 2^10 apart, and is cut in two there."""
    if operator.kind not in ("ADD", "SUB"):
        return False
    constants = [buffers[graph.tensors[number].buffer].data for number in operator.inputs if _is_constant(number, graph, buffers)]
    return any(len(data) == 4 and abs(float(np.frombuffer(bytes(data), "<f4")[0])) < _EPSILON for data in constants)


def _is_float(tensor: Any) -> bool:
    return tensor.type == 0


def _set_recipe(quantizer: Any, quantization: Quantization, graphs: Mapping[int, list[_Operator]], chosen: Mapping[int, frozenset[int]]) -> None:
    """Tell the quantizer each operator to quantize, by the names of its results."""
    scheme = quantization.scheme
    for regex, operation in _scopes(graphs, chosen):
        if scheme.activations == "int8-static":
            quantizer.add_static_config(regex, operation, activation_num_bits=8, weight_num_bits=scheme.weight_bits)
        elif scheme.activations == "int8-dynamic":
            quantizer.add_dynamic_config(regex, operation, num_bits=scheme.weight_bits)
        else:
            quantizer.add_weight_only_config(regex, operation, num_bits=scheme.weight_bits)


def _take_integers(quantizer: Any) -> None:
    """Make what a method is given and answers integers."""
    from ai_edge_quantizer.qtyping import TFLOperationName

    for edge in (TFLOperationName.INPUT, TFLOperationName.OUTPUT):
        quantizer.add_static_config(".*", edge, activation_num_bits=8, weight_num_bits=8)


def _store_weights(quantizer: Any, bits: int, graphs: Mapping[int, list[_Operator]], stored: Mapping[int, frozenset[int]]) -> None:
    for regex, operation in _scopes(graphs, stored):
        quantizer.add_weight_only_config(regex, operation, num_bits=bits)


def _scopes(graphs: Mapping[int, list[_Operator]], positions: Mapping[int, frozenset[int]]) -> list[tuple[str, Any]]:
    """Return for each kind of operator the pattern of its results' names."""
    from ai_edge_quantizer.qtyping import TFLOperationName

    names: dict[str, list[str]] = {}
    for index, found in positions.items():
        for position in sorted(found):
            operator = graphs[index][position]
            names.setdefault(operator.kind, []).append(f"{index}.{operator.outputs[0]}")
    return [
        ("^(?:" + "|".join(map(re.escape, tensors)) + ");", TFLOperationName("CONV_2D_TRANSPOSE" if kind == "TRANSPOSE_CONV" else kind))
        for kind, tensors in names.items()
    ]


def _ranges(
    content: bytes,
    quantization: Quantization,
    methods: Mapping[int, str],
    graphs: Mapping[int, list[_Operator]],
    chosen: Mapping[int, frozenset[int]],
    edges: Mapping[int, Sequence[int]],
    model: Any,
) -> dict[str, dict[str, Array]]:
    """Run the float file on the calibration samples and return the range of each value that becomes integers."""
    from ai_edge_litert.interpreter import Interpreter

    from edgekit.quiet import quiet

    with quiet():
        interpreter = Interpreter(model_content=content, num_threads=1, experimental_preserve_all_tensors=True)
        interpreter.allocate_tensors()
    found: dict[str, dict[str, Array]] = {}
    for index, method in methods.items():
        graph = model.subgraphs[index]
        touched = {number for position in chosen[index] for number in (*graphs[index][position].inputs, *graphs[index][position].outputs)}
        touched.update(edges[index])
        floats = sorted(
            number for number in touched if number != _ABSENT and _is_float(graph.tensors[number]) and not len(_data(model, graph.tensors[number]))
        )
        seen = {number: Histogram() for number in floats}
        runner = interpreter.get_signature_runner(method)
        for row in quantization.calibration[method]:
            runner(**row)
            for number, histogram in seen.items():
                histogram.add(interpreter.get_tensor(number, index))
        for number, histogram in seen.items():
            low, high = histogram.range()
            found[f"{index}.{number}"] = {"min": np.array([low], np.float32), "max": np.array([high], np.float32)}
    return found


def _data(model: Any, tensor: Any) -> Any:
    data = model.buffers[tensor.buffer].data
    return () if data is None else data


def _named(content: bytes, names: Sequence[Sequence[bytes]], results: Sequence[Sequence[int]], job: LoweringJob) -> bytes:
    """Give the tensors the names that a float file has: by module. What the quantizer added keeps its ending.

    :param results: the numbers of the tensors that each subgraph gave before. Where an operator in floats reads a result, too, the quantizer gives
        both the same floats, and tells the subgraph, but not its signature.
    """
    from ai_edge_litert.tools import flatbuffer_utils

    modules = {
        tag(method, node.name): module_path(node)
        for method, program in job.programs.items()
        for node in program.graph.nodes
        if node.op == "call_function"
    }

    def original(name: bytes) -> bytes:
        found = _UNIQUE.match(name)
        if found is None:
            return name
        parts = names[int(found[1])][int(found[2])].decode().split(";")  # of what was fused, each by its own name
        return ";".join(modules.get(part, part.partition("/")[2] or part) for part in parts).encode() + found[3]

    model = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    for index, graph in enumerate(model.subgraphs):
        for number, tensor in enumerate(graph.tensors):
            tensor.name = original(tensor.name if _UNIQUE.match(tensor.name) else f"{index}.{number}".encode())
    for signature in model.signatureDefs:
        given = dict(zip(results[signature.subgraphIndex], map(int, model.subgraphs[signature.subgraphIndex].outputs), strict=True))
        for entry in signature.outputs:
            entry.tensorIndex = given.get(int(entry.tensorIndex), int(entry.tensorIndex))
    return pack(model)
