"""Lets XNNPACK compute functions of one 8-bit value by a table inside a payload, and converts a value once for all that read it.

    before   a (int8) -> convert -> b (float) -> gelu -> c (float) -> convert -> d (int8)
    after    a (int8) -> gelu -> d (int8)

XNNPACK's operators of one input take 8-bit tensors and look all 256 values up; ExecuTorch's partitioner only offers them floats. The
same for a conversion of 8 bits to 8 bits with another scale, which it writes by way of floats, and for moves that keep the scale: the
partitioner has no pad in 8 bits, and where the program copies a value to reshape it, does not see that all is.
Source: XNNPACK's ``operators/unary-elementwise-nc.c``, as in executorch 1.5.1.
"""

from collections import Counter
from typing import Any

_TABLES = ("XNNGelu", "XNNSigmoid", "XNNTanh", "XNNHardswish")
_MOVES = ("XNNStaticReshape", "XNNStaticTranspose", "XNNStaticSlice", "XNNStaticConstantPad")
_CONVERT = "XNNConvert"


def use_tables(graph: Any) -> int:
    """Rewrite an ``XNNGraph`` in place; return how many conversions went."""
    before = len(graph.xnodes)
    _share_conversions(graph)
    makers = {_output(node): node for node in graph.xnodes}
    read = _reads(graph)
    integers = _integers(graph)
    for node in graph.xnodes:
        if _kind(node) != _CONVERT or _output(node) not in integers:
            continue
        function = makers.get(_input(node))
        if function is None or read[_output(function)] != 1 or _output(function) in graph.output_ids:
            continue
        if _kind(function) == _CONVERT and _input(function) in integers:
            node.xnode_union.input_id = _input(function)
        elif _kind(function) in _TABLES + _MOVES:
            first = makers.get(_input(function))
            if first is None or _kind(first) != _CONVERT or _input(first) not in integers:
                continue
            if _kind(function) in _TABLES or integers[_input(first)] == integers[_output(node)]:
                function.xnode_union.input_id = _input(first)
                function.xnode_union.output_id = _output(node)
                node.xnode_union = None
    graph.xnodes[:] = [node for node in graph.xnodes if node.xnode_union is not None]
    _drop_unread(graph)
    return before - len(graph.xnodes)


def _integers(graph: Any) -> dict[int, Any]:
    """Return scale and zero point of the values that have them; those measured as they come have none."""
    parameters = {_tensor(value).id_out: getattr(value.xvalue_union, "quant_params", None) for value in graph.xvalues}
    return {identifier: given for identifier, given in parameters.items() if hasattr(given, "zero_point")}


def _share_conversions(graph: Any) -> None:
    """Let all readers of a value in floats read one conversion of it."""
    floats = {value.xvalue_union.id_out for value in graph.xvalues if not hasattr(value.xvalue_union, "tensor_value")}
    first: dict[int, int] = {}
    same: dict[int, int] = {}
    for node in graph.xnodes:
        for name in vars(node.xnode_union):
            if name.endswith("_id") and not name.startswith("output"):
                value = getattr(node.xnode_union, name)
                setattr(node.xnode_union, name, same.get(value, value))
        if _kind(node) == _CONVERT and _output(node) in floats and _output(node) not in graph.output_ids:
            kept = first.setdefault(_input(node), _output(node))
            if kept != _output(node):
                same[_output(node)] = kept
    _drop_unread(graph)


def _drop_unread(graph: Any) -> None:
    """Remove conversions that nobody reads, and values that no operator mentions."""
    while True:
        read = _reads(graph)
        kept = [node for node in graph.xnodes if _kind(node) != _CONVERT or read[_output(node)] or _output(node) in graph.output_ids]
        if len(kept) == len(graph.xnodes):
            break
        graph.xnodes[:] = kept
    mentioned = {value for node in graph.xnodes for name, value in vars(node.xnode_union).items() if name.endswith("_id")}
    mentioned.update(graph.input_ids, graph.output_ids)
    graph.xvalues[:] = [value for value in graph.xvalues if _tensor(value).id_out in mentioned]


def _reads(graph: Any) -> Counter[int]:
    return Counter(
        value for node in graph.xnodes for name, value in vars(node.xnode_union).items() if name.endswith("_id") and not name.startswith("output")
    )


def _tensor(value: Any) -> Any:
    return getattr(value.xvalue_union, "tensor_value", value.xvalue_union)


def _kind(node: Any) -> str:
    return type(node.xnode_union).__name__


def _input(node: Any) -> int:
    return int(node.xnode_union.input_id)


def _output(node: Any) -> int:
    return int(node.xnode_union.output_id)
