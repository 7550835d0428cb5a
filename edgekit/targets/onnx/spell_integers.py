"""Spells operators as those that onnxruntime has 8-bit kernels for; exact, in floats too.

    ReduceMean over both sides of a map, sides kept       GlobalAveragePool
    MatMul (..., T, C) x constant (C, D), Add constant    Reshape (T, C), Gemm with a bias, Reshape

A bias inside a Gemm is added in 32 bits; as an Add of its own it costs a pass over the result and a rounding.
"""

import math
from typing import Any

import numpy as np


def spell_for_integers(graph: Any) -> None:
    """Rewrite a graph with ``value_info`` in place."""
    from onnx import numpy_helper

    constants = {tensor.name: tensor for tensor in graph.initializer}
    shapes = {value.name: [size.dim_value for size in value.type.tensor_type.shape.dim] for value in (*graph.input, *graph.value_info, *graph.output)}
    readers: dict[str, list[Any]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    written: list[Any] = []
    gone: set[str] = set()
    for node in graph.node:
        if node.name in gone:
            continue
        if node.op_type == "ReduceMean" and _over_map(node, shapes, constants, numpy_helper):
            written.append(_pool(node))
        elif (add := _bias_behind(node, readers, constants, shapes)) is not None:
            written += _gemm(graph, node, add, shapes)
            gone.add(add.name)
        else:
            written.append(node)
    copies = [_copy(node) for node in written]
    del graph.node[:]
    graph.node.extend(copies)


def _copy(node: Any) -> Any:
    from onnx import NodeProto

    copy = NodeProto()
    copy.CopyFrom(node)
    return copy


def _over_map(node: Any, shapes: dict[str, list[int]], constants: dict[str, Any], helper: Any) -> bool:
    keeps = next((attribute.i for attribute in node.attribute if attribute.name == "keepdims"), 1)
    axes = constants.get(node.input[1]) if len(node.input) > 1 else None
    if axes is None or not keeps or len(shapes.get(node.input[0], ())) != 4:
        return False
    return sorted(int(axis) % 4 for axis in helper.to_array(axes).reshape(-1)) == [2, 3]


def _pool(node: Any) -> Any:
    from onnx import helper

    pool = helper.make_node("GlobalAveragePool", [node.input[0]], [node.output[0]], name=node.name)
    pool.metadata_props.extend(node.metadata_props)
    return pool


def _bias_behind(node: Any, readers: dict[str, list[Any]], constants: dict[str, Any], shapes: dict[str, list[int]]) -> Any | None:
    """Return the Add of a constant row that alone reads a product with a constant matrix."""
    if node.op_type != "MatMul" or node.input[1] not in constants or len(constants[node.input[1]].dims) != 2 or not shapes.get(node.input[0]):
        return None
    by = readers.get(node.output[0], [])
    if len(by) != 1 or by[0].op_type != "Add":
        return None
    bias = next((name for name in by[0].input if name in constants), None)
    width = constants[node.input[1]].dims[1]
    return by[0] if bias is not None and list(constants[bias].dims) == [width] else None


def _gemm(graph: Any, product: Any, add: Any, shapes: dict[str, list[int]]) -> list[Any]:
    from onnx import TensorProto, helper, numpy_helper

    bias = next(name for name in add.input if name != product.output[0])
    before, after = shapes[product.input[0]], shapes[add.output[0]]
    tall, wide = f"{product.output[0]}/tall", f"{product.output[0]}/gemm"
    sizes = {f"{tall}/shape": [math.prod(before[:-1]), before[-1]], f"{wide}/shape": after}
    graph.initializer.extend(numpy_helper.from_array(np.array(shape, dtype=np.int64), name) for name, shape in sizes.items())
    for name, shape in ((tall, sizes[f"{tall}/shape"]), (wide, [math.prod(before[:-1]), after[-1]])):
        graph.value_info.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    nodes = [
        helper.make_node("Reshape", [product.input[0], f"{tall}/shape"], [tall], name=f"{product.name}/tall"),
        helper.make_node("Gemm", [tall, product.input[1], bias], [wide], name=product.name),
        helper.make_node("Reshape", [wide, f"{wide}/shape"], [add.output[0]], name=add.name),
    ]
    for node in nodes:
        node.metadata_props.extend(add.metadata_props)
    return nodes
