"""What onnxruntime's CPU kernels compute in 8 bits, and which nodes of a graph get them.

    products   Conv, Gemm, MatMul with constant weights       integers; Gemm and MatMul can give floats themselves
    pairs      Add, Mul
    sigmoid    a table of 256 bytes
    clamps     Relu, Clip: part of the product in front, whatever is kept: between the two an 8-bit value would have to span what the clamp cuts off
    moves      Reshape, Transpose, Concat, MaxPool, ...       the same bytes, moved
    the rest   Gelu, Sub, Softmax, LayerNormalization, products of two values: no kernel for integers, or none that is worth it

Costs are for 1,000 elements of the result, by the bytes that an operator reads and writes; only their ratios matter.
Source: onnxruntime 1.31, ``core/optimizer/qdq_transformer/selectors_actions/qdq_selector_action_transformer.cc``.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

from attrs import frozen

from edgekit.quantization.islands import Cost, integer_operators

PRODUCTS = frozenset({"Conv", "Gemm", "MatMul"})
GIVES_FLOATS = frozenset({"Gemm", "MatMul"})
CLAMPS = frozenset({"Relu", "Clip"})
OPERATORS = {
    "Add": Cost(60, 150),
    "Mul": Cost(60, 150),
    "Sigmoid": Cost(60, 300),
    "Relu": Cost(50, 120),
    "Clip": Cost(50, 120),
    "Reshape": Cost(0, 0),
    "Flatten": Cost(0, 0),
    "Squeeze": Cost(0, 0),
    "Unsqueeze": Cost(0, 0),
    "Transpose": Cost(60, 120),
    "Concat": Cost(60, 120),
    "MaxPool": Cost(60, 150),
    "GlobalAveragePool": Cost(30, 30),
}
_FIXED = Cost(float("inf"), 0.0)
_CONVERSION = 100.0
_ROUGH = 1e-3


@frozen
class Shapes:
    """What a graph says of its values: sizes of those that are float32 and known, by name, and the names of constants."""

    sizes: Mapping[str, int]
    constants: Collection[str]

    @classmethod
    def of(cls, graph: Any) -> "Shapes":
        """Read a graph with ``value_info``."""
        import math

        from onnx import TensorProto

        floats = {
            value.name: math.prod(size.dim_value for size in value.type.tensor_type.shape.dim)
            for value in (*graph.input, *graph.value_info, *graph.output)
            if value.type.tensor_type.elem_type == TensorProto.FLOAT
        }
        return cls(floats, frozenset(tensor.name for tensor in graph.initializer))


def integer_nodes(graph: Any, shapes: Shapes, kept: Collection[str]) -> list[Any]:
    """Return the nodes that compute in integers, in the graph's order; the operators behind them are one with clamps in front.

    :param kept: names of nodes that stay in floats whatever they cost.
    """
    makers = {output: node for node in graph.node for output in node.output}
    still = {node.name for node in before_products(graph, shapes)} | set(kept)
    products = products_of_clamps(graph)
    still = {name for name in still if name not in products} | {clamp for clamp, product in products.items() if product in still}
    costs = {node.name: _FIXED if node.name in still else _cost(node, shapes) for node in graph.node}
    costs |= {clamp: costs[product] for clamp, product in products.items()}
    costs |= {value.name: _FIXED for value in graph.input}
    conversions = []
    for node in graph.node:
        for name in node.input:
            if name not in shapes.sizes or name in shapes.constants:
                continue
            maker = makers.get(name)
            paid = 0.0 if maker is not None and maker.op_type in GIVES_FLOATS and maker.name not in still else _CONVERSION
            conversions.append((name if maker is None else maker.name, node.name, paid * shapes.sizes[name] * _ROUGH))
    chosen = integer_operators(costs, conversions)
    return [node for node in graph.node if node.name in chosen]


def products_of_clamps(graph: Any) -> dict[str, str]:
    """Return the product that computes a clamp's value first, by the clamp's name, where nothing else reads that value."""
    makers = {output: node for node in graph.node for output in node.output}
    read = Counter(name for node in graph.node for name in node.input) + Counter(value.name for value in graph.output)
    return {
        node.name: maker.name
        for node in graph.node
        if node.op_type in CLAMPS and (maker := makers.get(node.input[0])) is not None and maker.op_type in PRODUCTS and read[node.input[0]] == 1
    }


def before_products(graph: Any, shapes: Shapes) -> list[Any]:
    """Return the nodes whose value no product takes part in: what rescales the pixels stays floats, as all else depends on them."""
    untouched = {value.name for value in graph.input}
    found = []
    for node in graph.node:
        if node.op_type not in PRODUCTS and untouched.issuperset(name for name in node.input if name and name not in shapes.constants):
            untouched.update(node.output)
            found.append(node)
    return found


def has_constant_weights(node: Any, shapes: Shapes) -> bool:
    """Whether a product's second operand is a constant."""
    return node.op_type in PRODUCTS and node.input[1] in shapes.constants


def _cost(node: Any, shapes: Shapes) -> Cost:
    if node.op_type in PRODUCTS:
        return Cost(0.0, float("inf")) if has_constant_weights(node, shapes) else _FIXED
    read = [name for name in node.input if name in shapes.sizes and name not in shapes.constants]
    if node.op_type not in OPERATORS or node.domain or not read or any(output not in shapes.sizes for output in node.output):
        return _FIXED
    size = max(shapes.sizes[name] for name in (*node.output, *read)) * _ROUGH
    unit = OPERATORS[node.op_type]
    return Cost(unit.integers * size, unit.floats * size)
