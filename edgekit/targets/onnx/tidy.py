"""Removes what torch.onnx writes for its own developers, and keeps where each node comes from.

It adds to every node its class hierarchy, its stack trace with this machine's paths and the line of torch's graph:
0.8 MB for a network of 600 nodes. What stays is where the node comes from, as ``module``: ``stage2.0.act``. The
shapes of intermediate values go too: every reader infers them from the inputs, and they are a fifth of the graph.
"""

import ast
from typing import Any

_SCOPES = "pkg.torch.onnx.name_scopes"  # the repr of a list: ['', 'stage2', 'stage2.0', 'silu_8'], the node's own name last
_MODULE = "module"


def tidy(model: Any) -> None:
    """Edit an ``onnx.ModelProto`` in place."""
    _tidy_graph(model.graph)
    for function in model.functions:
        _strip(function)
        for node in function.node:
            _tidy_node(node)


def _tidy_graph(graph: Any) -> None:
    _strip(graph)
    del graph.value_info[:]
    for values in (graph.input, graph.output, graph.initializer):
        for value in values:
            _strip(value)
    for node in graph.node:
        _tidy_node(node)


def _tidy_node(node: Any) -> None:
    scopes = next((entry.value for entry in node.metadata_props if entry.key == _SCOPES), None)
    _strip(node)
    if scopes is not None and (module := _innermost(scopes)):
        node.metadata_props.add(key=_MODULE, value=module)
    for attribute in node.attribute:
        for graph in (*([attribute.g] if attribute.HasField("g") else ()), *attribute.graphs):
            _tidy_graph(graph)


def _innermost(scopes: str) -> str:
    """Return the path of the innermost module."""
    names = ast.literal_eval(scopes)
    return str(names[-2]) if len(names) > 1 else ""


def _strip(item: Any) -> None:
    """Remove the doc string and all metadata of a part of the model."""
    item.ClearField("doc_string")
    del item.metadata_props[:]
