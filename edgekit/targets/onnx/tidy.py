"""Removes what torch.onnx writes for its own developers, and keeps where each node comes from.

It adds to every node its class hierarchy, its stack trace with this machine's paths and the line of torch's graph:
0.8 MB for a network of 600 nodes. What stays is ``pkg.torch.onnx.name_scopes``, the module path
(``['', 'stage2', 'stage2.0', 'silu_8']``). The shapes of intermediate values go too: every reader infers them from the
inputs, and they are a fifth of the graph's bytes.
"""

from typing import Any

_KEPT = "pkg.torch.onnx.name_scopes"


def tidy(model: Any) -> None:
    """Edit an ``onnx.ModelProto`` in place."""
    _tidy_graph(model.graph)
    for function in model.functions:
        _strip(function, keep=())
        for node in function.node:
            _tidy_node(node)


def _tidy_graph(graph: Any) -> None:
    _strip(graph, keep=())
    del graph.value_info[:]
    for values in (graph.input, graph.output, graph.initializer):
        for value in values:
            _strip(value, keep=())
    for node in graph.node:
        _tidy_node(node)


def _tidy_node(node: Any) -> None:
    _strip(node, keep=(_KEPT,))
    for attribute in node.attribute:
        for graph in (*([attribute.g] if attribute.HasField("g") else ()), *attribute.graphs):
            _tidy_graph(graph)


def _strip(item: Any, *, keep: tuple[str, ...]) -> None:
    """Remove the doc string of a part of the model and its metadata but for the keys to keep."""
    item.ClearField("doc_string")
    kept = [(entry.key, entry.value) for entry in item.metadata_props if entry.key in keep]
    del item.metadata_props[:]
    for key, text in kept:
        item.metadata_props.add(key=key, value=text)
