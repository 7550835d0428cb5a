"""Gives everything that a concatenation inside an XNNPACK payload joins the scale of its result.

    before   cat(a (int8, scale 1), b (int8, scale 2)) -> c (int8, scale 3)
    after    cat(convert(a), convert(b)) -> c              all of scale 3

XNNPACK has no other concatenation of integers, and a program with one does not load. The partitioner writes them all the same: it takes whatever
stands between a conversion to floats and one back for an operator of integers, also a concatenation that was to stay in floats.
Source: XNNPACK's ``subgraph/concatenate.c``, as in executorch 1.5.1.
"""

import copy
from typing import Any

_KIND = "XNNConcatenate"
_NONE = 0xFFFFFFFF
_OPERANDS = tuple(f"input{number}_id" for number in range(1, 6))


def align_joins(graph: Any) -> int:
    """Insert conversions into an ``XNNGraph`` in place; return how many."""
    from executorch.backends.xnnpack.serialization.xnnpack_graph_schema import XNNConvert, XNode

    values = {_tensor(value).id_out: value for value in graph.xvalues}
    following = max(values) + 1
    nodes: list[Any] = []
    inserted = 0
    for node in graph.xnodes:
        join = node.xnode_union
        if type(join).__name__.startswith(_KIND):
            result = values[join.output_id]
            for field in _OPERANDS:
                operand = getattr(join, field, _NONE)
                if operand == _NONE or _parameters(values[operand]) == _parameters(result):
                    continue
                between = copy.deepcopy(result)
                _tensor(between).id_out = following
                _tensor(between).external_id = _NONE
                _tensor(between).flags = 0
                _tensor(between).dims = list(_tensor(values[operand]).dims)
                graph.xvalues.append(between)
                nodes.append(XNode(xnode_union=XNNConvert(input_id=operand, output_id=following, flags=0), debug_handle=node.debug_handle))
                setattr(join, field, following)
                following += 1
                inserted += 1
        nodes.append(node)
    graph.xnodes[:] = nodes
    return inserted


def _parameters(value: Any) -> Any:
    """Return scale and zero point; ``None`` of floats."""
    return getattr(value.xvalue_union, "quant_params", None)


def _tensor(value: Any) -> Any:
    return getattr(value.xvalue_union, "tensor_value", value.xvalue_union)
